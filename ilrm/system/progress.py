"""Progress bars: one line on a terminal, in a log every ten seconds, one output of a cell in a notebook."""

import io
import itertools
import sys
from collections import deque
from typing import Any

from tqdm import tqdm

DISPLAY = "ilrm-progress"  # prefix of the identifiers of progress displays in a notebook
EVIDENCE = 5.0  # seconds of work after the first items until a remaining time is shown
TERMINAL, LOG = 1, 10  # seconds between updates


def progress_bar(items: Any = None, **options: Any) -> tqdm:
    """A tqdm progress bar on stderr, or in a notebook; `options` are passed to tqdm."""
    if _shell() is not None:
        return _NotebookBar(items, mininterval=TERMINAL, **options)
    return _Bar(items, mininterval=TERMINAL if sys.stderr.isatty() else LOG, **options)


class Pace:
    """The speed of work that starts slowly, as compilation and imports say nothing about the rest.

    It is measured over the second half of the time so far, and unknown for the first EVIDENCE seconds.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()  # seconds, items done

    def mark(self, seconds: float, done: float) -> None:
        """Note the number of items done after `seconds`."""
        marks = self._marks
        if not marks or done > marks[-1][1]:
            marks.append((seconds, done))
        while len(marks) > 2 and marks[1][0] <= seconds / 2:
            marks.popleft()

    @property
    def rate(self) -> float:
        """Items per second; 0 while unknown."""
        if not self._marks:
            return 0.0
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return (last - first) / (ended - began) if ended - began >= EVIDENCE else 0.0


class _Bar(tqdm):
    """A bar whose remaining time follows Pace; "?" while that is unknown."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._pace = Pace()
        super().__init__(*arguments, **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values with which tqdm formats the bar."""
        shown = super().format_dict
        if shown["n"] > shown["initial"]:
            self._pace.mark(shown["elapsed"], shown["n"])
        done = shown["total"] is not None and shown["n"] >= shown["total"]
        return shown | {"rate": None if done else self._pace.rate}  # None: overall mean


class _NotebookBar(_Bar):
    """A bar in the output of the running cell, which keeps its last state in the executed notebook."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._line = next(_lines)
        super().__init__(*arguments, file=io.StringIO(), ascii=False, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the bar, or `msg` instead of it; called by tqdm."""
        _cell.show(self._line, str(self) if msg is None else msg)


class _Cell:
    """The display of a cell, with one line per bar."""

    def __init__(self) -> None:
        self._number, self._lines, self._handle = 0, dict[int, str](), None

    def show(self, line: int, text: str) -> None:
        """Show `text` in the line with this number; an empty text removes the line."""
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
    """IPython's shell if this process is the kernel of a notebook, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None
