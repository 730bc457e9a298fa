"""Atomic writes: a file or folder appears complete under its name, or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ilrm.errors import ConfigError


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
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
