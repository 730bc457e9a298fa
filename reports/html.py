"""Tables as HTML pages of their own: title, stylesheet for light and dark, notes; verdicts are coloured."""

import html
import re
from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from reports.claims import CONFIRMED, CONTRADICTED, NOT_MEASURED, NOT_RESOLVED
from reports.latex import numeric

JUDGING = ("verdict", "met")  # columns whose words are coloured
CLASSES = {
    CONFIRMED: "confirmed", "yes": "confirmed", CONTRADICTED: "contradicted", "no": "contradicted",
    NOT_RESOLVED: "open", NOT_MEASURED: "missing",
}  # fmt: skip
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} - iLRM</title>
<style>
:root {{ --text: #1f2328; --page: #ffffff; --line: #d0d7de; --head: #f3f5f7; --quiet: #59636e;
  --confirmed: #d7f0dd; --contradicted: #fbdcd9; --open: #fdf1cf; }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: #e6edf3; --page: #0d1117; --line: #3d444d;
  --head: #1a2028; --quiet: #9198a1; --confirmed: #12402a; --contradicted: #5a1e1e; --open: #4a3c0c; }} }}
body {{ font: 13px/1.45 system-ui, sans-serif; color: var(--text); background: var(--page);
  margin: 1.5rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.35rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .45rem; border-bottom: 1px solid var(--line); vertical-align: top;
  text-align: left; }}
th {{ background: var(--head); font-weight: 600; vertical-align: bottom; }}
td.number {{ text-align: right; }}
td.confirmed {{ background: var(--confirmed); }}
td.contradicted {{ background: var(--contradicted); }}
td.open {{ background: var(--open); }}
td.missing {{ color: var(--quiet); }}
.notes {{ color: var(--quiet); max-width: 60rem; }}
.notes p {{ margin: .25rem 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
<div class="wide">
{table}</div>
<div class="notes">
{notes}</div>
</body>
</html>
"""


def page(table: pd.DataFrame, title: str, notes: Sequence[str]) -> str:
    """A self-contained HTML document. Columns "METRIC, PART" are grouped under their metric."""
    cells = table.astype(str)
    classes = cells.apply(_classes)
    if any(", " in name for name in cells.columns):
        columns = [
            (metric, part) for metric, _, part in (n.rpartition(", ") for n in cells.columns)
        ]
        cells.columns = classes.columns = pd.MultiIndex.from_tuples(columns)
    shown = Styler(cells.map(_unbroken), cell_ids=False).hide(axis="index").format(escape="html")
    shown = shown.format_index(escape="html", axis="columns").set_td_classes(classes)
    foot = "".join(f"<p>{html.escape(note)}</p>\n" for note in notes)
    body = shown.to_html(table_uuid="table")
    return PAGE.format(title=html.escape(title), table=body, notes=foot)


def _unbroken(text: str) -> str:
    """The text with non-breaking spaces in intervals and before the marks of notes after them."""
    return re.sub(r"\[[^\]]*\]( \(\d+\))?", lambda match: match[0].replace(" ", "\u00a0"), text)


def _classes(column: pd.Series) -> list[str]:
    """The stylesheet's class of each cell of a column."""
    if column.name in JUDGING:
        return [CLASSES.get(text, "open") for text in column]
    return ["number" if numeric(column) else ""] * len(column)
