"""Atomic writes, after which a file or folder is either complete or absent, and safe file names and paths
from untrusted names.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ilrm.errors import ConfigError
from ilrm.system.leftovers import replace_folder, temporary_file, temporary_folder

LONGEST_NAME = 100  # maximum bytes of a file name derived from data


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`, renamed to it if the block succeeds, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as temporary, _naming(path):
        yield temporary
        _to_disk(temporary)  # otherwise a power failure could leave an empty file
        temporary.replace(path)
        _to_disk(path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make a disk error in the block, such as a full disk, name the file that was being written."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _to_disk(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are written to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder next to `path`, renamed to it if the block succeeds, else removed.

    Everything in it is on the disk before it is renamed, and an older folder is removed after that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as temporary, _naming(path):
        yield temporary
        for inside in (*temporary.rglob("*"), temporary):
            _to_disk(inside)
        replace_folder(temporary, path)
        _to_disk(path.parent)


def check_folder(path: Path) -> None:
    """Raise ConfigError if `path`, where a folder is to be written, is a file."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file: give a folder")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with keys in the given order. Raises ValueError on NaN; write None instead."""
    text = json.dumps(value, indent=2, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def file_name(name: str) -> str:
    """A safe file name, without suffix, for a name that comes from data; distinct for distinct names.

    A plain name is returned unchanged. Otherwise special characters are replaced, the name is shortened, and
    a digest of the original name is appended.
    """
    encoded = re.sub(r"[^\w.-]+", "_", name).strip("._").encode()[:LONGEST_NAME]
    plain = encoded.decode(errors="ignore")
    try:
        os.fsencode(plain)
    except UnicodeEncodeError:  # a locale that is not UTF-8 cannot name such a file
        plain = plain.encode("ascii", "ignore").decode()
    if plain == name and plain:
        return plain
    # plain names do not contain a tilde
    return f"{plain}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:10]}"


def printable(name: str) -> str:
    """A name as text that can be stored and printed: bytes that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


@contextmanager
def readable_by_libraries(path: Path) -> Iterator[Path]:
    """A path to the same file for a library that crashes on names that are not UTF-8.

    If the path has such a name, its folder is reached through a temporary link.
    """
    if printable(str(path)) == str(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        link.symlink_to(path.parent.absolute())
        yield link / path.name


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for names that the file system does not accept."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long or contains a null byte
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False for names that the file system does not accept."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def below(root: Path, path: Path) -> Path | None:
    """`path`, without `..`, if it lies inside `root`, else None.

    Symbolic links are not resolved: a link that a user placed in `root` counts as a folder of `root`.
    """
    plain = Path(os.path.normpath(path.absolute()))
    # an absolute path may begin with either
    roots = (Path(os.path.normpath(root.absolute())), root.resolve())
    return plain if any(plain.is_relative_to(r) and plain != r for r in roots) else None
