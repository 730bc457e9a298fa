"""Writer of the generated reports, which can also check whether the committed ones are stale."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from ilrm.system.files import atomic_path
from ilrm.system.paths import PROJECT

OUTPUT = PROJECT / "reports" / "output"
BLOCK = 8  # pixels; figures are compared block by block, to detect single moved points
COLORS = 64  # palette size of animations
BLOCK_TOLERANCE = 0.25  # mean difference per block; fonts render slightly differently elsewhere


class Writer:
    """Writes outputs by name; with `check=True`, compares them with the existing files instead."""

    def __init__(self, folder: Path = OUTPUT, check: bool = False):
        self.folder, self.check = folder, check
        self.stale: list[str] = []
        self.names: set[str] = set()

    def text(self, name: str, text: str) -> None:
        """Write a text file that ends with a newline."""
        text = text.rstrip("\n") + "\n"
        path = self._path(name)
        if self.check:
            if not path.exists() or path.read_text() != text:
                self.stale.append(name)
            return
        with atomic_path(path) as temporary:
            temporary.write_text(text)

    def table(
        self, name: str, table: pd.DataFrame, notes: list[str], long: pd.DataFrame | None = None
    ) -> None:
        """Write a table as Markdown, LaTeX and HTML with numbered notes, and as CSV (`long`, if given)."""
        numbered = [f"({i}) {note}" for i, note in enumerate(notes, 1)]
        self.text(
            f"{name}.md", "\n".join([markdown(table, index=False), *(f"{n}  " for n in numbered)])
        )
        self.text(f"{name}.tex", _latex(table, numbered))
        foot = "".join(f"<p>{_escape(note)}</p>\n" for note in numbered)
        self.text(f"{name}.html", table.to_html(index=False, border=0) + "\n" + foot)
        buffer = io.StringIO()
        (table if long is None else long).to_csv(buffer, index=False, float_format="%.6g")
        self.text(f"{name}.csv", buffer.getvalue())

    def figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG and PDF, without metadata that changes between runs."""
        path, vector = self._path(f"{name}.png"), self._path(f"{name}.pdf")
        if self.check:
            if not path.exists() or not vector.exists() or not _looks_alike(path, figure):
                self.stale.append(f"{name}.png")
            return
        with atomic_path(path) as temporary:
            figure.savefig(temporary, metadata={"Software": None})
        with atomic_path(vector) as temporary:
            figure.savefig(temporary, metadata={"CreationDate": None})

    def animation(self, name: str, pictures: Sequence[Image.Image], seconds: float) -> None:
        """Write a looping GIF with `seconds` per picture; with `check`, it only has to exist."""
        path = self._path(f"{name}.gif")
        if self.check:
            if not path.exists():
                self.stale.append(f"{name}.gif")
            return
        first, *others = (
            picture.quantize(COLORS, dither=Image.Dither.NONE) for picture in pictures
        )
        with atomic_path(path) as temporary:
            first.save(
                temporary,
                save_all=True,
                append_images=others,
                duration=round(1000 * seconds),
                loop=0,
            )

    def arrays(self, name: str, values: Mapping[str, np.ndarray]) -> None:
        """Write a figure's data as a compressed NumPy archive; with `check`, compare only array names."""
        path = self._path(f"{name}.npz")
        if self.check:
            if not path.exists() or set(np.load(path).files) != set(values):
                self.stale.append(f"{name}.npz")
            return
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(values))

    def clean(self, folder: str) -> None:
        """Remove files in a subfolder that are no longer generated; with `check`, report them as stale."""
        for path in sorted((self.folder / folder).glob("*")):
            name = str(path.relative_to(self.folder))
            if name in self.names or not path.is_file():
                continue
            if self.check:
                self.stale.append(f"{name} (no longer generated)")
            else:
                path.unlink()

    def _path(self, name: str) -> Path:
        self.names.add(name)
        return self.folder / name


def markdown(table: pd.DataFrame, index: bool = True) -> str:
    """Format as a Markdown pipe table, with the index as the first column if `index`."""
    names = [str(name) for name in table.columns]
    rows = [[str(value) for value in row] for row in table.itertuples(index=False)]
    if index:
        names = ["", *names]
        rows = [[str(key), *row] for key, row in zip(table.index, rows, strict=True)]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _latex(table: pd.DataFrame, notes: list[str]) -> str:
    escaped = table.astype(str).map(_escape_latex).rename(columns=_escape_latex)
    text = escaped.style.hide(axis="index").to_latex(hrules=True)
    return text + "".join(f"\\par\\footnotesize {_escape_latex(note)}\n" for note in notes)


def _escape_latex(text: str) -> str:
    for a, b in (("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#"), ("^", r"\^{}")):
        text = text.replace(a, b)
    return text


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _looks_alike(path: Path, figure: Figure) -> bool:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    ours, theirs = matplotlib.image.imread(buffer), matplotlib.image.imread(path)
    if ours.shape != theirs.shape:
        return False
    difference = np.abs(ours - theirs).max(-1)  # [H, W]
    height, width = (side // BLOCK * BLOCK for side in difference.shape)
    blocks = difference[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float(blocks.mean((1, 3)).max()) < BLOCK_TOLERANCE
