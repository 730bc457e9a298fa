"""Temporary files and folders that do not outlive the process that writes them.

A process that is killed leaves its temporary files behind. They are removed by the next process that writes
to the same folder. While a process writes, it holds a lock on its file, which the kernel releases whenever
the process ends, so that files of live processes are left alone.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# .NAME.ID.tmp with the suffix of NAME, or .NAME.ID.older.tmp of a folder that is being replaced
TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}(?P<older>\.older)?\.tmp(\.\w+)?")
_cleaned: set[Path] = set()  # folders that this process has cleaned


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """A new file next to `path`, removed at the end if it is still there; permissions follow the umask."""

    def create(temporary: Path) -> int:
        return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    with _locked(path, f".tmp{path.suffix}", create) as temporary:
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder next to `path`, removed at the end if it is still there; permissions follow the umask."""

    def create(temporary: Path) -> int:
        temporary.mkdir()
        return os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    with _locked(path, ".tmp", create) as temporary:
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(path: Path, ending: str, create: Callable[[Path], int]) -> Iterator[Path]:
    """Yield a path next to `path` that `create` made and opened, and hold its lock.

    If another process removes it as a leftover before it is locked, another one is made.
    """
    clean(path.parent)
    while True:
        temporary = _name(path, ending)
        try:
            handle = create(temporary)
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
            continue
        if _lock(handle, temporary):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        os.close(handle)


def replace_folder(new: Path, path: Path) -> None:
    """Rename a folder to `path`, and remove the folder that was there.

    If the process is killed in between, `clean` puts one of the two in place.
    """
    if not path.exists():
        new.replace(path)
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(handle, path)
        older = _name(path, ".older.tmp")
        path.replace(older)
        new.replace(path)
        shutil.rmtree(older, ignore_errors=True)
    finally:
        os.close(handle)


def clean(folder: Path) -> None:
    """Remove what killed processes left in a folder, and restore what they replaced, once per process."""
    folder = folder.resolve()
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    for path in list(folder.glob(".*.tmp*")):
        if match := TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # locked by a live process, or being removed by another
                _clean(path, folder / match["name"] if match["older"] else None)


def _clean(path: Path, replaced: Path | None) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if replaced is not None and not replaced.exists():
            path.replace(replaced)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    """Lock an open file or folder; False if it was removed before it was locked."""
    with suppress(OSError):  # without locks, this file system is not cleaned either
        fcntl.flock(handle, fcntl.LOCK_EX)
    return path.exists()


def _name(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{ending}")
