"""Atomic writes (a file or folder appears complete under its name, or not at all), and file names and
paths from names that others chose.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ilrm.errors import ConfigError

LONGEST_NAME = 100  # bytes of a name that comes from data


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it if the block ends well, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        _to_disk(beside)  # else a power cut may leave an empty file under the name
        beside.replace(path)
        _to_disk(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed to it if the block ends well, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield beside
        beside.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_folder(path: Path) -> None:
    """Raise ConfigError where a folder is to be written and something else is there."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file: give a folder")


def write_json(path: Path, value: Any) -> None:
    """JSON, indented, keys as given; NaN is refused (write None with a reason instead)."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with atomic_path(path) as beside:
        beside.write_text(text + "\n")


def file_name(name: str) -> str:
    """A file name, without a suffix, for a name that comes from data: different ones for different names.

    A plain name stays as it is. In any other, what could be a path, hidden or too long is replaced, and a
    digest of the whole name is added.
    """
    encoded = re.sub(r"[^\w.-]+", "_", name).strip("._").encode()[:LONGEST_NAME]
    plain = encoded.decode(errors="ignore")
    if plain == name and plain:
        return plain
    # no plain name holds a tilde
    return f"{plain}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:10]}"


def below(root: Path, path: Path) -> Path | None:
    """`path`, with its `..` taken out, where it lies in `root`; else None.

    Links are not followed for this: a link that a user put into `root` counts as a folder of `root`.
    """
    plain = Path(os.path.normpath(path.absolute()))
    roots = (
        Path(os.path.normpath(root.absolute())),
        root.resolve(),
    )  # an absolute path may name either
    return plain if any(plain.is_relative_to(r) and plain != r for r in roots) else None
