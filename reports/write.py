"""Writer of the generated reports, which can also check whether the committed ones are stale."""

import io
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from ilrm.system.leftovers import temporary_folder
from ilrm.system.paths import SUITE
from reports.figures import style
from reports.html import page
from reports.latex import latex

OUTPUT = SUITE / "reports" / "output"
BLOCK = 8  # pixels; figures are compared block by block, to detect single moved points
COLORS = 64  # palette size of animations
BLOCK_TOLERANCE = 0.25  # mean difference per block; fonts render slightly differently elsewhere
ANIMATION_TOLERANCE = 0.01  # mean difference per picture
_NUMBER = re.compile(r"-?\d+\.\d+")  # whole numbers are counts, which have to be equal


class Writer:
    """Writes outputs by name: all of them if the block succeeds, none if it raises.

    `check=True` compares them with the files instead. Markdown, CSV, PNG and GIF are always written, LaTeX
    for tables with a caption, and further formats if named in `extra` ("html", "pdf", "npz"). `tolerant`:
    numbers that differ only in their last digit count as equal, as the same model gives such differences on
    another processor.
    """

    def __init__(self, folder: Path = OUTPUT, check: bool = False, extra: Collection[str] = ()):
        self.folder, self.check, self.extra = folder, check, frozenset(extra)
        self.tolerant = False
        self.stale: list[str] = []
        self.names: set[str] = set()
        self._gone: list[Path] = []

    def __enter__(self) -> "Writer":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._staged = ExitStack()
        self._stage_folder = self._staged.enter_context(temporary_folder(self.folder / "staged"))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._staged:
            if kind is not None:
                return
            for path in sorted(p for p in self._stage_folder.rglob("*") if p.is_file()):
                target = self.folder / path.relative_to(self._stage_folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
            for path in self._gone:
                path.unlink()

    def text(self, name: str, text: str) -> None:
        """Write a text file, which ends with a newline."""
        text = text.rstrip("\n") + "\n"
        path = self._path(name)
        old = path.read_text(encoding="utf-8") if path.exists() else None
        if old == text or (self.tolerant and old is not None and _numbers_agree(old, text)):
            return
        if self.check:
            self.stale.append(name)
        else:
            self._stage(name).write_text(text, encoding="utf-8")

    def table(
        self,
        name: str,
        table: pd.DataFrame,
        notes: list[str],
        long: pd.DataFrame | None = None,
        caption: str = "",
    ) -> None:
        """Write a table as Markdown with numbered notes and CSV (`long`, if given); LaTeX with a caption."""
        numbered = [f"({i}) {note}" for i, note in enumerate(notes, 1)]
        lines = [markdown(table, index=False), *(f"{_escape_markdown(n)}  " for n in numbered)]
        self.text(f"{name}.md", "\n".join(lines))
        buffer = io.StringIO()
        (table if long is None else long).to_csv(buffer, index=False, float_format="%.6g")
        self.text(f"{name}.csv", buffer.getvalue())
        if caption:
            label = f"tab:{Path(name).name}"
            self.text(f"{name}.tex", latex(table, caption, label, numbered))
        if "html" in self.extra:
            title = caption.partition(". ")[0] or Path(name).name.replace("_", " ").capitalize()
            self.text(f"{name}.html", page(table, title, numbered))

    def figure(self, name: str, figure: Figure) -> None:
        """Write a PNG without metadata that changes with each run; a file that looks alike is kept."""
        with matplotlib.rc_context():
            style.use()  # the style also affects how a figure is saved
            self._figure(name, figure)

    def _figure(self, name: str, figure: Figure) -> None:
        path = self._path(f"{name}.png")
        if not path.exists() or not _looks_alike(path, figure):
            if self.check:
                self.stale.append(f"{name}.png")
            else:
                figure.savefig(self._stage(f"{name}.png"), metadata={"Software": None})
        if "pdf" in self.extra and not self.check:
            self._path(f"{name}.pdf")
            figure.savefig(self._stage(f"{name}.pdf"), metadata={"CreationDate": None})

    def picture(self, name: str, picture: Image.Image) -> None:
        """Write a picture as PNG; a file that looks alike is kept."""
        path = self._path(f"{name}.png")
        if path.exists() and _pixels_alike(matplotlib.image.imread(path), _pixels(picture)):
            return
        if self.check:
            self.stale.append(f"{name}.png")
        else:
            picture.save(self._stage(f"{name}.png"), optimize=True)

    def animation(self, name: str, pictures: Sequence[Image.Image], seconds: float) -> None:
        """Write a looping GIF, `seconds` per picture; a file whose pictures look alike is kept."""
        path = self._path(f"{name}.gif")
        frames = [p.quantize(COLORS, dither=Image.Dither.NONE) for p in pictures]
        if path.exists() and _animation_alike(path, frames):
            return
        if self.check:
            self.stale.append(f"{name}.gif")
            return
        first, *others = frames
        duration = round(1000 * seconds)
        first.save(
            self._stage(f"{name}.gif"),
            save_all=True,
            append_images=others,
            duration=duration,
            loop=0,
        )

    def arrays(self, name: str, values: Mapping[str, np.ndarray]) -> None:
        """Write the data of a figure as a compressed NumPy archive, if `extra` has "npz"."""
        if "npz" not in self.extra or self.check:
            return
        self._path(f"{name}.npz")
        with self._stage(f"{name}.npz").open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(values))

    def clean(self, folder: str) -> None:
        """Remove files of a subfolder that are no longer written; with `check` they are stale."""
        for path in sorted((self.folder / folder).glob("*")):
            name = str(path.relative_to(self.folder))
            if name in self.names or not path.is_file():
                continue
            if self.check:
                self.stale.append(f"{name} (no longer written)")
            else:
                self._gone.append(path)

    def _path(self, name: str) -> Path:
        """Register an output, and return its final path."""
        self.names.add(name)
        return self.folder / name

    def _stage(self, name: str) -> Path:
        path = self._stage_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def markdown(table: pd.DataFrame, index: bool = True) -> str:
    """Format as a Markdown pipe table, with the index as the first column if `index`."""
    names = [_escape_markdown(str(name)) for name in table.columns]
    rows = [[_escape_markdown(str(v)) for v in row] for row in table.itertuples(index=False)]
    if index:
        names = ["", *names]
        keys = [_escape_markdown(str(key)) for key in table.index]
        rows = [[key, *row] for key, row in zip(keys, rows, strict=True)]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# Characters that Markdown reads as markup: pipes, emphasis, math, strikethrough, tags, entities, links.
# Backticks are kept, since tables use them for commands.
_MARKDOWN = re.compile(
    r"[|*$~]|(?<![^\W_])_|_(?![^\W_])|\\(?=[!-/:-@\[-`{-~])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:])"
)


_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def _escape_markdown(text: str) -> str:
    """Text escaped for one line of Markdown."""
    return _MARKDOWN.sub(
        lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), " ".join(text.splitlines())
    )


def _looks_alike(path: Path, figure: Figure) -> bool:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return _pixels_alike(matplotlib.image.imread(path), matplotlib.image.imread(buffer))


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.float32) / 255


def _pixels_alike(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether no block of two pictures [H, W, C] in [0, 1] differs."""
    if ours.shape != theirs.shape:
        return False
    difference = np.abs(ours - theirs).max(-1)  # [H, W]
    height, width = (side // BLOCK * BLOCK for side in difference.shape)
    blocks = difference[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float(blocks.mean((1, 3)).max()) < BLOCK_TOLERANCE


def _animation_alike(path: Path, frames: Sequence[Image.Image]) -> bool:
    with Image.open(path) as old:
        if old.size != frames[0].size or getattr(old, "n_frames", 1) != len(frames):
            return False
        for index, frame in enumerate(frames):
            old.seek(index)
            ours, theirs = (np.asarray(p.convert("RGB"), float) / 255 for p in (frame, old))
            if np.abs(ours - theirs).mean() > ANIMATION_TOLERANCE:
                return False
    return True


def _numbers_agree(old: str, new: str) -> bool:
    """Whether two texts differ at most in the last digit of decimal numbers."""
    if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
        return False
    for a, b in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True):
        digits = max(len(a.partition(".")[2]), len(b.partition(".")[2]))
        if abs(float(a) - float(b)) > max(1.01 * 10.0**-digits, 1e-3 * abs(float(b))):
            return False
    return True
