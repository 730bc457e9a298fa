"""Why a folder cannot be read as a capture, and where posed images may be instead."""

import os
from collections.abc import Iterator
from pathlib import Path

from ilrm.data.sources.layouts import CAMERAS
from ilrm.system.files import is_folder
from ilrm.system.found_instead import describe_path

KNOWN = f"a COLMAP model (sparse/0), {', '.join(CAMERAS[:-1])} or {CAMERAS[-1]}"
MODELS = ("cameras.bin", "cameras.txt")
DEEPEST = 3  # levels of folders that are searched for captures
MOST_FOLDERS = 1000  # folders that are searched


def what_is_wrong(folder: Path) -> str:
    """One line about a folder without a known layout: what is wrong with it, and what to do."""
    if not is_folder(folder):
        return _no_folder(folder)
    for name in CAMERAS:
        if (words := describe_path(folder / name)) is not None:
            return f"{folder / name} {words}"
    names = {path.name.casefold(): path.name for path in folder.iterdir()}
    start = f"{folder} contains no posed images: need {KNOWN}"
    for name in CAMERAS:
        if (other := names.get(name)) is not None:
            return f"{start}; rename {other} to {name}"
    if other := next((names[name] for name in names if name.startswith("transforms_")), None):
        return f"{start}; copy {other}, or another one like it, to transforms.json"
    if (found := next(_captures_below(folder), None)) is not None:
        return f"{start}; {found.relative_to(folder)} may hold some: give {found}"
    return start


def _no_folder(path: Path) -> str:
    if path.is_file():
        return f"{path} is a file: give the folder that holds the images and their cameras"
    words = describe_path(path) or "does not exist: check the path"
    return f"{path} {words}"


def _captures_below(folder: Path) -> Iterator[Path]:
    """Folders below a folder that may be captures."""
    for count, (where, folders, files) in enumerate(os.walk(folder)):
        depth = len(Path(where).relative_to(folder).parts)
        folders[:] = [] if depth >= DEEPEST + 2 else sorted(f for f in folders if f[0] != ".")
        if count > MOST_FOLDERS:
            return
        if depth and any(name in files for name in CAMERAS):
            yield Path(where)
        elif depth and any(name in files for name in MODELS):
            yield _capture_of(Path(where), folder)


def _capture_of(model: Path, folder: Path) -> Path:
    """The capture of a COLMAP model: the folder above `sparse`, if that is below `folder`, else the model."""
    for path in (model, *model.parents):
        if path.name.casefold() == "sparse" and path.parent != folder:
            return path.parent
        if path == folder:
            break
    return model
