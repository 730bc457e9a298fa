"""Progress bars: one line on a terminal, in a log every ten seconds, one output of a cell in a notebook."""

import io
import itertools
import sys
from collections import deque
from typing import Any

from tqdm import tqdm

DISPLAY = "ilrm-progress"  # how the identifiers of a notebook's displays of progress begin
EVIDENCE = 5.0  # seconds of work after the first items, before which no time left is shown
TERMINAL, LOG = 1, 10  # seconds between updates


def progress_bar(items: Any = None, **options: Any) -> tqdm:
    """A tqdm progress bar on stderr, or in a notebook; `options` are passed to tqdm."""
    if _shell() is not None:
        return _NotebookBar(items, mininterval=TERMINAL, **options)
    return _Bar(items, mininterval=TERMINAL if sys.stderr.isatty() else LOG, **options)


class Pace:
    """The speed of work that starts slowly: compilation and imports say nothing about what follows.

    It is that of the second half of the time so far, and not known before there is some evidence.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()  # seconds, items done

    def mark(self, seconds: float, done: float) -> None:
        """Note what is done after so many seconds."""
        marks = self._marks
        if not marks or done > marks[-1][1]:
            marks.append((seconds, done))
        while len(marks) > 2 and marks[1][0] <= seconds / 2:
            marks.popleft()

    @property
    def rate(self) -> float:
        """Items per second; 0 while it is not known."""
        if not self._marks:
            return 0.0
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return (last - first) / (ended - began) if ended - began >= EVIDENCE else 0.0


class _Bar(tqdm):
    """A bar whose time left follows Pace; "?" while that is not known."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._pace = Pace()
        super().__init__(*arguments, **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm formats the bar with."""
        shown = super().format_dict
        if shown["n"] > shown["initial"]:
            self._pace.mark(shown["elapsed"], shown["n"])
        done = shown["total"] is not None and shown["n"] >= shown["total"]
        return shown | {"rate": None if done else self._pace.rate}  # None: the mean of all


class _NotebookBar(_Bar):
    """A bar in the output of the running cell, which holds its last state once the cell is executed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._line = next(_lines)
        super().__init__(*arguments, file=io.StringIO(), ascii=False, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the bar, or instead of it a text; called by tqdm."""
        _cell.show(self._line, str(self) if msg is None else msg)


class _Cell:
    """The display of a cell: a line for each of its bars."""

    def __init__(self) -> None:
        self._number, self._lines, self._handle = 0, dict[int, str](), None

    def show(self, line: int, text: str) -> None:
        """Show the line of this number; without a text it is removed."""
        from IPython.display import display

        number = _shell().execution_count
        if number != self._number:
            self._number, self._lines, self._handle = number, {}, None
        self._lines[line] = text
        data = {"text/plain": "\n".join(filter(None, self._lines.values()))}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=f"{DISPLAY}-{number}")
        else:
            self._handle.update(data, raw=True)


_cell, _lines = _Cell(), itertools.count()


def _shell() -> Any:
    """The IPython of a notebook's kernel that this process is, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None
