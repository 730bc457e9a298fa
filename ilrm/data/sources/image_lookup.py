"""Finds the images of a capture by the names in its camera files.

The names were written by other tools on other systems: with backslashes, without a suffix or with that of the
original photo, in another case or Unicode form, relative to a folder that was not copied. All layouts find
their images here. A name that leads out of the capture's folder is refused.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ilrm.data.images import OTHER_SUFFIXES, SUFFIXES, is_image_name
from ilrm.errors import DataError
from ilrm.system.files import below, is_file, is_folder
from ilrm.system.found_instead import describe_path

IMAGE_FOLDERS = ("images", "input", "images_2", "images_4", "images_8")
# start of a path that is not relative to a folder of the capture, here or on another system
_ABSOLUTE = re.compile(r"[/~]|[a-z]:|file:", re.IGNORECASE)
_BLANKS = " \t\r\n\u200b\ufeff"  # around names that were copied from elsewhere


def reduction(path: Path) -> int:
    """Downsampling factor N of an image in a folder images_N, else 1."""
    for folder in path.parents:  # images may lie in subfolders
        name = folder.name.casefold()
        if name == "images":
            return 1
        if match := re.fullmatch(r"images_([1-9]\d*)", name):
            return int(match[1])
    return 1


def is_absolute(name: str) -> bool:
    """Whether an image's name is an absolute path, on this machine, another one or Windows."""
    return bool(_ABSOLUTE.match(name.replace("\\", "/")))


def image_files(folder: Path) -> list[Path]:
    """The images directly in a folder, sorted by name; empty if there is no such folder."""
    if not is_folder(folder):
        return []
    return sorted(path for path in folder.iterdir() if is_image_name(path) and not is_folder(path))


def find_folder(root: Path, names: Sequence[str] = IMAGE_FOLDERS) -> Path | None:
    """The first of these folders that exists in `root`, possibly in another case or Unicode form; None if
    there is none.
    """
    for name in names:
        if is_folder(root / name):
            return root / name
    inside = {_plain(path.name): path for path in sorted(root.iterdir()) if is_folder(path)}
    return next((inside[_plain(name)] for name in names if _plain(name) in inside), None)


@dataclass
class ImageLookup:
    """Finds images below `root`, in `image_folder` if one is named."""

    root: Path
    image_folder: str = ""
    notes: list[str] = field(default_factory=list)  # lines about images read under other names
    _listings: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    _folders: dict[Path, Path] = field(default_factory=dict)
    _several: dict[str, Path] = field(default_factory=dict)  # ambiguous names, and the image read

    def __post_init__(self) -> None:
        self.root = _absolute(self.root)

    def find(self, names: Sequence[str], base: Path, where: str) -> list[Path]:
        """The image of each name, which is relative to `base` or absolute; a path that does not exist if
        there is none. `where` names the camera file in errors.

        Raises DataError on a name that leads out of the capture.
        """
        base = _absolute(base)
        wanted = [self._wanted(name, base, f"{where}, frame {i}") for i, name in enumerate(names)]
        found = [self._match(path) for path in wanted]
        for path, match in zip(wanted, found, strict=True):
            named = self._folder(path.parent)
            if match is not None and match.parent != named and not is_folder(named):
                self._note(
                    f"{path.parent.name} does not exist: {match.parent.name} is read instead"
                )
        if self._several:
            key, file = next(iter(self._several.items()))
            self._note(
                f"{len(self._several)} names fit several images, such as {key}: {file.name} is read"
            )
        if wanted and not any(found) and (ordered := self._by_order(wanted, names, base)):
            return ordered
        return [match or path for match, path in zip(found, wanted, strict=True)]

    def _wanted(self, name: str, base: Path, where: str) -> Path:
        """The path at which an image should be."""
        if "\0" in name:
            raise DataError(f"{where}: its name contains a null byte: export the cameras again")
        path = self._inside(base / name, where) if is_file(base / name) else None
        if path is None:
            name = name.replace("\\", "/")
            moved = is_absolute(name) and not is_folder(base / name)
            outside = below(self.root, base / name) is None and not is_file(base / name)
            path = self._elsewhere(name) if moved or outside else None
            if path is None and moved and not is_file(base / name):
                path = self.root / Path(*_parts(name)[-2:])
            path = path or self._inside(base / name, where)
        if not self.image_folder:
            return path
        inside = next((r for r in (base, self.root) if path.is_relative_to(r)), path.parent)
        relative = path.relative_to(inside)
        below_folder = Path(*relative.parts[1:]) if len(relative.parts) > 1 else relative
        folders = [base / self.image_folder, self.root / self.image_folder]
        options = [
            folder / tail
            for folder in folders
            for tail in (below_folder, relative, Path(path.name))
        ]
        best = next((o for o in options if self._match(o)), None)
        best = best or next((o for o in options if is_folder(o.parent)), options[0])
        return self._inside(best, where)

    def _elsewhere(self, name: str) -> Path | None:
        """The image of this capture that shares the longest end with `name`, a path of another machine."""
        parts = _parts(name)
        tails = (self.root / Path(*parts[start:]) for start in range(len(parts)))
        return next((tail for tail in tails if self._match(tail)), None)

    def _inside(self, path: Path, where: str) -> Path:
        inside = below(self.root, path) or below(self.root / self.image_folder, path)
        if inside is None:
            tail = self._elsewhere(path.as_posix())
            same = None if tail is None else self._match(tail)
            if same is not None and is_file(path) and same.samefile(path):
                return same  # a link in the capture leads to it
            raise DataError(
                f"{where}: its image {str(path)!r} lies outside of {self.root}: move it into that folder and "
                "correct its name in the cameras"
            )
        real = self.root.resolve()
        return self.root / inside.relative_to(real) if inside.is_relative_to(real) else inside

    def _match(self, path: Path) -> Path | None:
        """The image at a path, or with another suffix, case or Unicode form, or in another usual folder."""
        if (found := self._in_folder(path)) is not None:
            return found
        if self.image_folder or not path.is_relative_to(self.root):
            return None
        tail = path.relative_to(self.root)
        if len(tail.parts) > 1 and tail.parts[0] in IMAGE_FOLDERS:
            if is_folder(self._folder(self.root / tail.parts[0])):
                return None
            tail = Path(*tail.parts[1:])  # the named folder was not copied
        options = (self.root / folder / tail for folder in ("", *IMAGE_FOLDERS))
        return next((found for o in options if (found := self._in_folder(o)) is not None), None)

    def _in_folder(self, path: Path) -> Path | None:
        if is_file(path):
            return path
        listing = self._listing(self._folder(path.parent))
        name = _plain(path.name)
        start, dot, suffix = name.rpartition(".")
        stem = start if f"{dot}{suffix}" in (*SUFFIXES, *OTHER_SUFFIXES) else name
        for key in (name, stem):  # the name itself in another form, then any image with that stem
            if found := listing.get(key):
                if len(found) > 1:
                    self._several[key] = found[0]
                return found[0]
        return None

    def _folder(self, folder: Path) -> Path:
        """The folder under its name on the disk, whose parts may be in another case or Unicode form."""
        if folder not in self._folders:
            found = folder
            if not is_folder(folder) and folder != folder.parent:
                above = self._folder(folder.parent)
                found = above / folder.name
                if is_folder(above):
                    found = find_folder(above, [folder.name]) or found
            self._folders[folder] = found
        return self._folders[folder]

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        """The images of a folder by name and by stem, in order of preference of their suffixes."""
        if folder not in self._listings:
            files = sorted(image_files(folder), key=lambda f: SUFFIXES.index(f.suffix.lower()))
            listing: dict[str, list[Path]] = {}
            for file in files:
                for key in (_plain(file.name), _plain(file.stem)):
                    listing.setdefault(key, []).append(file)
            self._listings[folder] = listing
        return self._listings[folder]

    def _by_order(self, wanted: list[Path], names: Sequence[str], base: Path) -> list[Path] | None:
        """Downsampled images under other names, one for each full-size image or each frame, in order."""
        folder = wanted[0].parent
        if not self.image_folder or any(path.parent != folder for path in wanted):
            return None
        files = image_files(folder)
        full = ImageLookup(self.root).find(names, base, "")
        whole = image_files(full[0].parent)
        if not set(full) <= set(whole):
            whole = sorted(set(full))  # the full-size images were not copied
        if not files or len(files) != len(whole):
            return None
        self._note(
            f"the images of {folder.name} have other names than the cameras': read in order, "
            f"{files[0].name} for {whole[0].name}"
        )
        number = {path: i for i, path in enumerate(whole)}
        return [files[number[path]] for path in full]

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def what_is_there(path: Path) -> str:
    """Error message about a missing image: what is there instead, and what to do."""
    if (words := describe_path(path)) is not None:
        return words
    wanted, folder = path, path.parent
    while not is_folder(folder):
        wanted, folder = folder, folder.parent
    cure = "fetch the image or remove the frame from the cameras"
    has = listed(folder)
    inside = sorted(f.name for f in folder.iterdir() if f.name[0] != "." and image_files(f))
    if wanted != path and inside and not image_files(folder):
        cure = f"rename {inside[0]} to {wanted.name}, or reconstruct with --images {inside[0]}"
    return f"is missing ({folder.name} {has}): {cure}"


def listed(folder: Path) -> str:
    """Contents of a folder in which images are expected, in a few words for an error message."""
    files = image_files(folder)
    others = sorted(f.name for f in folder.iterdir() if f.name[0] != "." and f not in files)
    if files:
        words = f"has {len(files)} images, from {files[0].name} to {files[-1].name}"
    elif not others:
        words = "is empty"
    else:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        words = f"has {', '.join(others[:3])}{more}"
    unread = [name for name in others if Path(name).suffix.lower() in OTHER_SUFFIXES]
    if unread:
        words += f"; {len(unread)} like {unread[0]} have to be converted to JPEG"
    return words


def _parts(name: str) -> list[str]:
    """The parts of a path of any system, without empty ones, `.` and `..`."""
    return [part for part in re.split(r"[/:]", name) if part not in ("", ".", "..")]


def _absolute(path: Path) -> Path:
    """The path without `..`; links are not resolved."""
    return Path(os.path.normpath(path.absolute()))


def _plain(name: str) -> str:
    """A name without the differences that file systems and tools introduce."""
    return unicodedata.normalize("NFC", name).casefold().strip(_BLANKS)
