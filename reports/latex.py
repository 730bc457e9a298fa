"""Tables as LaTeX that fits the text of a document: booktabs, caption and label, notes of their own size.

Columns named "METRIC, PART" are grouped under the name of their metric. A table that is wider than the text
is split into panels, each with some of the metrics, or rotated if that takes fewer floats. A table that is
too tall continues in further floats. The document needs the packages array, booktabs and rotating.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd
from matplotlib import get_data_path
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

PACKAGES = ("array", "booktabs", "rotating")
SEPARATION = 3.0  # pt, on each side of a column
LINE = 9.5  # pt, of footnotesize text
SMALL = 7 / 8  # size of intervals and parts of metrics
_MARK = re.compile(r" \((\d+)\)$")
_INTERVAL = re.compile(r"^(\S+) (\[.*\])$")
_NUMBER = re.compile(r"^([-+]?[\d,.]+( \[.*\])?|n/a|-|reference)( \(\d+\))?$")
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "|": r"\textbar{}",
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A kind of float: its environment, and the space available in it, in pt (class article, 10 pt)."""

    environment: str
    width: float
    height: float
    text: float  # largest width of a column of text; longer lines are broken

    def floats(self, table: pd.DataFrame, notes: Sequence[str]) -> list[list[str]]:
        """The parts of a table and its notes as LaTeX, divided into floats that are not too tall."""
        parts = [
            (_tabular(part, self.text), _height(part, self.text))
            for panel in self._panels(table)
            for part in self._rows(panel)
        ]
        if notes:
            lines = sum(1 + int(_text_width(note) / self.width) for note in notes)
            body = "\\par\n".join(map(escaped, notes))
            parts.append(
                (f"\\parbox{{{self.width:.0f}pt}}{{\\raggedright {body}}}\n", lines * LINE)
            )
        floats: list[list[str]] = [[]]
        used = 0.0
        for body, height in parts:
            if floats[-1] and used + height > self.height:
                floats.append([])
                used = 0.0
            floats[-1].append(body)
            used += height + LINE
        return floats

    def fits(self, table: pd.DataFrame) -> bool:
        """Whether no panel is wider than the page."""
        widths = (sum(_width(panel[n], self.text) for n in panel) for panel in self._panels(table))
        return max(widths) <= self.width

    def _panels(self, table: pd.DataFrame) -> list[pd.DataFrame]:
        """Panels of the table, each with the columns that identify a row and as many metrics as fit."""
        keys = [name for name in table.columns if ", " not in name]
        metrics: dict[str, list[str]] = {}
        for name in table.columns[len(keys) :]:
            metrics.setdefault(name.rpartition(", ")[0], []).append(name)
        width = {name: _width(table[name], self.text) for name in table.columns}
        left = sum(width[key] for key in keys)
        panels, used = [list(keys)], left
        for names in metrics.values():
            more = max(_metric_width(names[0]), sum(width[name] for name in names))
            if used + more > self.width and len(panels[-1]) > len(keys):
                panels.append(list(keys))
                used = left
            panels[-1] += names
            used += more
        return [table[names] for names in panels]

    def _rows(self, panel: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Parts of a panel, each with as many rows as fit into a float."""
        start = 0
        for end in range(1, len(panel) + 1):
            if end - start > 1 and _height(panel[start:end], self.text) > self.height:
                yield panel[start : end - 1]
                start = end - 1
        yield panel[start:]


PAGES = (Page("table", 340.0, 500.0, 88.0), Page("sidewaystable", 540.0, 295.0, 180.0))


def latex(table: pd.DataFrame, caption: str, label: str, notes: Sequence[str]) -> str:
    """One or more floats with a whole table. A number in brackets at the end of a cell becomes a mark."""
    fitting = [page for page in PAGES if page.fits(table)] or PAGES[-1:]
    page, floats = min(
        ((p, p.floats(table, notes)) for p in fitting), key=lambda option: len(option[1])
    )
    needs = f"% needs \\usepackage{{{','.join(PACKAGES)}}}\n"
    return needs + "\n".join(
        _float(bodies, page, caption, label if k == 0 else "") for k, bodies in enumerate(floats)
    )


def escaped(text: str) -> str:
    """Text in one line with LaTeX's special characters escaped; signs of numbers are in math mode."""
    plain = "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.splitlines()))
    return re.sub(r"(?<![\w$])-(?=\d)", "$-$", plain)


def _float(bodies: list[str], page: Page, caption: str, label: str) -> str:
    lines = [f"\\begin{{{page.environment}}}[tbp]", "\\centering\\footnotesize"]
    lines += [
        f"\\setlength{{\\tabcolsep}}{{{SEPARATION}pt}}\\setlength{{\\belowcaptionskip}}{{6pt}}"
    ]
    if label:
        lines += [f"\\caption{{{escaped(caption)}}}", f"\\label{{{label}}}"]
    else:
        lines += ["\\addtocounter{table}{-1}", f"\\caption{{{escaped(caption)} (continued)}}"]
    return "\n".join([*lines, "\n\\medskip\n\n".join(bodies) + f"\\end{{{page.environment}}}", ""])


def _tabular(panel: pd.DataFrame, widest: float) -> str:
    """One tabular, whose header names metrics above their parts."""
    cells = panel.apply(lambda column: column.map(lambda text: _cell(str(text))))
    cells.columns = pd.MultiIndex.from_tuples([_heading(name) for name in panel.columns])
    formats = "".join(_format(panel[name], widest) for name in panel.columns)
    return cells.style.hide(axis="index").to_latex(
        hrules=True, column_format=formats, multicol_align="c"
    )


def _heading(name: str) -> tuple[str, str]:
    metric, _, part = name.rpartition(", ")
    words = [escaped(word) for word in part.split()]
    return escaped(metric), _stacked([f"\\scriptsize {w}" for w in words] if metric else words, "b")


def _cell(text: str) -> str:
    """A value with its interval below it; the number of a note becomes a mark of zero width."""
    mark = _MARK.search(text)
    body = text[: mark.start()] if mark else text
    sign = f"\\rlap{{\\textsuperscript{{{mark[1]}}}}}" if mark else ""
    if match := _INTERVAL.match(body):
        interval = f"{{\\scriptsize {escaped(match[2])}}}"
        return _stacked([escaped(match[1]) + sign, interval], "t")
    return ("--" if body == "-" else escaped(body)) + sign


def _stacked(lines: list[str], where: str) -> str:
    if len(lines) == 1:
        return lines[0]
    body = "\\\\".join(lines)
    return f"\\begin{{tabular}}[{where}]{{@{{}}r@{{}}}}{body}\\end{{tabular}}"


def _format(column: pd.Series, widest: float) -> str:
    """Column format: numbers aligned right, text aligned left, with line breaks if it is long."""
    if numeric(column):
        return "r"
    return (
        "l"
        if _widest(column) <= widest
        else f">{{\\raggedright\\arraybackslash}}p{{{widest:.0f}pt}}"
    )


def numeric(column: pd.Series) -> bool:
    """Whether all cells are numbers, possibly with interval and mark, or stand for a missing one."""
    return all(_NUMBER.match(str(value)) for value in column)


def _width(column: pd.Series, widest: float) -> float:
    """Width of a column in pt, with its margins."""
    own = _widest(column)
    return 2 * SEPARATION + (own if numeric(column) else min(own, widest))


def _metric_width(name: str) -> float:
    """Width of a metric's name above its columns in pt, with its margins."""
    return 2 * SEPARATION + _text_width(name.rpartition(", ")[0])


def _widest(column: pd.Series) -> float:
    """Width of the longest line of a column in pt, if none is broken."""
    metric, _, part = str(column.name).rpartition(", ")
    lines, small = ([], part.split()) if metric else (part.split(), [])
    for value in column:
        body = _MARK.sub("", str(value))
        if match := _INTERVAL.match(body):
            lines.append(match[1])
            small.append(match[2])
        else:
            lines.append(body)
    return max([*map(_text_width, lines), *(SMALL * _text_width(line) for line in small)])


def _height(panel: pd.DataFrame, widest: float) -> float:
    """Height of a panel in pt; rows with an interval or a broken line have more lines."""
    broken = [n for n in panel.columns if not numeric(panel[n]) and _widest(panel[n]) > widest]
    lines = 3
    for _, row in panel.iterrows():
        two = any(_INTERVAL.match(_MARK.sub("", str(value))) for value in row)
        lines += max([1 + two, *(1 + int(1.2 * _text_width(str(row[n])) / widest) for n in broken)])
    return lines * LINE


@cache
def _font() -> FontProperties:
    return FontProperties(fname=f"{get_data_path()}/fonts/ttf/cmr10.ttf", size=8)


@cache
def _text_width(text: str) -> float:
    """Width in pt of text in Computer Modern at 8 pt, which is wider than its 10 pt design scaled down."""
    line = " ".join(text.splitlines())
    return 1.08 * text_to_path.get_text_width_height_descent(line, _font(), ismath=False)[0]
