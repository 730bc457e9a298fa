"""What is found in place of an expected file: left by failed downloads, version control or moved disks."""

from pathlib import Path

BEGINNING = 64  # number of bytes by which a file is recognised

_BEGINNINGS = (
    (b"version https://git-lfs", "is a Git LFS pointer: run git lfs pull"),
    (b"/annex/objects/", "is a git-annex pointer: run git annex get"),
    (b"<!doctype html", "is a web page: the download failed, fetch it again"),
    (b"<html", "is a web page: the download failed, fetch it again"),
    (b"<?xml", "is an XML file, such as a server's error: fetch it again"),
)


def first_bytes(path: Path) -> bytes | None:
    """The first bytes of a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(BEGINNING)
    except OSError:
        return None


def normalised_text(head: bytes) -> bytes:
    """The beginning of a text in lower case, without byte order mark and blanks."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def describe_content(head: bytes | None) -> str | None:
    """What a file with these first bytes is, and what to do; None if it may be the expected file."""
    start = normalised_text((head or b"")[:BEGINNING])
    return next((words for begins, words in _BEGINNINGS if start.startswith(begins)), None)


def describe_path(path: Path) -> str | None:
    """What is found at a path instead of a regular file, and what to do; None if nothing is found there."""
    try:
        if path.is_dir():
            return "is a folder: put the file in its place"
        if path.is_symlink() and not path.exists():
            return _broken(path)
        if path.exists() and not path.is_file():
            return "is not a regular file: put the file in its place"
    except (OSError, ValueError):  # a name that the file system does not accept
        return None
    return None


def _broken(link: Path) -> str:
    target = str(link.readlink())
    if "/annex/objects/" in target:
        return "is a link of git-annex whose content is not here: run git annex get"
    return f"is a link to {target}, which is not there: mount that disk, or correct the link"
