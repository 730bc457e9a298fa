"""Readers for the layouts of posed images that `captures` supports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilrm.data.images import read_size
from ilrm.data.scene import PointCloud
from ilrm.data.sources import colmap
from ilrm.data.sources.distortion import make_camera
from ilrm.data.sources.image_lookup import (
    IMAGE_FOLDERS,
    ImageLookup,
    find_folder,
    image_files,
    is_absolute,
    listed,
    reduction,
)
from ilrm.data.sources.lens import check_lens, nerfstudio_camera
from ilrm.data.sources.values import field, pixels, real
from ilrm.errors import DataError, IlrmError
from ilrm.fields import shown
from ilrm.system.files import below, is_file, is_folder
from ilrm.system.found_instead import describe_content, first_bytes
from ilrm.system.json_files import read_json

if TYPE_CHECKING:
    import pycolmap

MASK_FOLDERS = ("masks", "mask")
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """A frame as described in the files of its layout."""

    path: Path
    camera: pycolmap.Camera  # for the full-size or the stored image
    c2w: np.ndarray  # [4, 4] OpenCV


@dataclass(frozen=True)
class Contents:
    """The contents of a layout's files."""

    frames: list[Frame]
    points: PointCloud | None = None
    # lines about what is not used, or read under another name
    notes: list[str] = dataclass_field(default_factory=list)


Reader = Callable[[Path, str], Contents]


def _frames_of(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read a JSON file of cameras; returns its contents and its list of frames."""
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("frames"), list):
        raise DataError(f"{path} has no list of frames: export it again")
    for number, frame in enumerate(value["frames"]):
        if not isinstance(frame, dict):
            raise DataError(
                f"{path}, frame {number}: a value of a wrong type ({frame!r:.40} instead of an object): "
                "export the cameras again"
            )
    return value, value["frames"]


def _names(path: Path, frames: list[dict[str, Any]]) -> list[str]:
    names = []
    for number, frame in enumerate(frames):
        name = field(frame, "file_path", f"{path}, frame {number}")
        if not isinstance(name, str) or not name:
            raise DataError(
                f"{path}, frame {number}: a value of a wrong type (file_path is {name!r:.40}): export the "
                "cameras again"
            )
        names.append(name)
    return names


def _matrix(value: Any, where: str) -> np.ndarray:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise DataError(f"{where}: its pose is not a 4x4 matrix: export the cameras again")
    if len(matrix) == 4 and not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise DataError(
            f"{where}: the last row of its pose is not 0 0 0 1 (is it transposed?): export the cameras again"
        )
    return np.vstack([matrix[:3], [0.0, 0.0, 0.0, 1.0]])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid motion; NaN, which `_scene` reports, if the matrix is singular."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full((4, 4), np.nan)


@contextmanager
def _conversion_errors(where: str) -> Iterator[None]:
    """Turn errors on values of a wrong type, such as text for a number, into a DataError that says where."""
    try:
        with np.errstate(all="ignore"):  # non-finite values are reported with their frame
            yield
    except IlrmError:
        raise
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DataError(
            f"{where}: a value of a wrong type ({error}): export the cameras again"
        ) from error


def _opencv(folder: Path, image_folder: str) -> Contents:
    """Long-LRM's layout: undistorted images, world-to-camera matrices, intrinsics in pixels."""
    path = folder / "opencv_cameras.json"
    shared, entries = _frames_of(path)
    lookup = ImageLookup(folder, image_folder)
    images = lookup.find(_names(path, entries), folder, str(path))
    frames = []
    for number, (entry, image) in enumerate(zip(entries, images, strict=True)):
        where = f"{path}, frame {number}"
        with _conversion_errors(where):
            check_lens({**shared, **entry}, where)
            width, height = (pixels(entry, name, where) for name in ("w", "h"))
            intrinsics = [real(entry, name, where) for name in ("fx", "fy", "cx", "cy")]
            camera = make_camera("PINHOLE", width, height, intrinsics, where)
            c2w = _inverse(_matrix(field(entry, "w2c", where), where))
            frames.append(Frame(image, camera, c2w))
    return Contents(frames, None, lookup.notes + _unused(folder, entries))


def _nerfstudio(root: Path, image_folder: str, below_root: str = "") -> Contents:
    """nerfstudio's and instant-ngp's transforms.json: OpenGL camera-to-world matrices."""
    folder = root / below_root
    path = folder / "transforms.json"
    shared, entries = _frames_of(path)
    lookup, names = ImageLookup(root, image_folder), _names(path, entries)
    images = lookup.find(names, folder, str(path))
    full = ImageLookup(root).find(names, folder, str(path)) if image_folder else images
    frames = []
    for number, own in enumerate(entries):
        where = f"{path}, frame {number}"
        with _conversion_errors(where):
            size = _size({**shared, **own}, full[number], images[number], where)
            camera = nerfstudio_camera(shared, own, size, where)
            matrix = field(own, "transform_matrix", where)
            c2w = _matrix(matrix, where) @ OPENGL_TO_OPENCV
            frames.append(Frame(images[number], camera, c2w))
    frames.sort(key=lambda frame: frame.path)
    return Contents(frames, None, lookup.notes + _unused(root, entries))


def _unused(folder: Path, entries: list[dict[str, Any]]) -> list[str]:
    """A line about masks, if the capture has any."""
    named = any(entry.get("mask_path") for entry in entries)
    if named or any((folder / name).is_dir() for name in MASK_FOLDERS):
        return ["its masks are not used: the whole images are read"]
    return []


def _size(entry: dict[str, Any], full: Path, image: Path, where: str) -> tuple[int, int]:
    """Width and height of a camera: its own, else those of the full-size image if it exists, else those of
    the downsampled image times its factor. (1, 1) if both are missing, which `captures` reports.
    """
    if "w" in entry or "h" in entry:
        return pixels(entry, "w", where), pixels(entry, "h", where)
    path = full if is_file(full) else image
    try:
        (width, height), _ = read_size(path)
    except DataError:
        return 1, 1
    factor = reduction(path)
    return width * factor, height * factor


def colmap_layout(folder: Path, model: str) -> Reader:
    """The reader for one of a capture's COLMAP models. Raises DataError on a folder outside of it."""
    where = below(folder, folder / model)
    if where is None:
        raise DataError(
            f"model {shown(model)} is outside of {folder}: give a folder such as sparse/1"
        )
    return lambda root, images: _colmap(root, images, where)


def _colmap(folder: Path, image_folder: str, where: Path | None = None) -> Contents:
    models = colmap.find_models(folder) if where is None else [where]
    where = models[0]
    model = colmap.read_model(where)
    images = _images_of(where, folder)
    names = [
        image.name if is_absolute(image.name) else f"{images}/{image.name}"
        for image in model.images
    ]
    lookup = ImageLookup(folder, image_folder)
    paths = lookup.find(names, folder, str(where / "images"))
    frames = [
        Frame(path, image.camera, _inverse(image.w2c))
        for path, image in zip(paths, model.images, strict=True)
    ]
    frames.sort(key=lambda frame: str(frame.path))  # names may be absolute paths
    notes = lookup.notes + _unused(folder, []) + colmap.other_models(folder, models)
    return Contents(frames, model.points, notes)


def _images_of(model: Path, capture: Path) -> str:
    """The image folder that belongs to a COLMAP model, relative to its capture: the nearest above the model.

    In raw 3D-GS captures it is `input`; COLMAP writes undistorted images and their model into dense/.
    """
    for folder in (model, *model.parents):
        if (found := find_folder(folder)) is not None:
            return found.relative_to(capture).as_posix()
        if folder == capture:
            break
    return IMAGE_FOLDERS[0]


def _llff(folder: Path, image_folder: str) -> Contents:
    """LLFF's poses_bounds.npy: per view a 3x5 matrix (axes down, right, backward; h, w, f), near, far."""
    path = folder / "poses_bounds.npy"
    try:
        # memory-mapped, so that a false shape in the header allocates no memory
        poses = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's parser of headers raises almost anything
        if (words := describe_content(first_bytes(path))) is not None:
            raise DataError(f"{path} {words}") from error
        reason = str(error).partition(". ")[0]
        raise DataError(
            f"{path} is truncated or not a NumPy array ({reason}): export it again"
        ) from error
    if not isinstance(poses, np.ndarray) or poses.dtype.kind not in "fiu":
        raise DataError(f"{path} is not an array of numbers: give a file in LLFF's format")
    if poses.ndim != 2 or poses.shape[1] != 17:
        raise DataError(
            f"{path}: shape {list(poses.shape)} instead of [N, 17]: give a file in LLFF's format"
        )
    poses = np.array(poses, dtype=np.float64)
    images = find_folder(folder, [image_folder] if image_folder else IMAGE_FOLDERS)
    images = images or folder / IMAGE_FOLDERS[0]
    files = image_files(images)
    if len(files) != len(poses):
        raise DataError(f"{path} has {len(poses)} poses, {_without_pairs(folder, images)}")
    frames = []
    for number, (file, row) in enumerate(zip(files, poses, strict=True)):
        where = f"{path}, row {number}"
        with _conversion_errors(where):
            down, right, backward, position, (height, width, focal) = row[:15].reshape(3, 5).T
            c2w = np.eye(4)
            c2w[:3] = np.stack([right, down, -backward, position], 1)
            if not np.isfinite([height, width, focal]).all():
                raise DataError(
                    f"{where}: its height, width or focal length is not finite: export the cameras again"
                )
            parameters = [float(focal), float(focal), float(width / 2), float(height / 2)]
            camera = make_camera("PINHOLE", round(width), round(height), parameters, where)
            frames.append(Frame(file, camera, c2w))
    return Contents(frames, None, _unused(folder, []))


def _without_pairs(capture: Path, images: Path) -> str:
    """The end of an error message about a number of poses that differs from that of the images."""
    if image_files(images) or is_folder(images):
        return f"{images.name} {listed(images)}: need one image per pose"
    inside = [folder.name for folder in sorted(capture.iterdir()) if image_files(folder)]
    cure = f"rename {inside[0]} to {images.name}" if inside else "fetch the images"
    return f"but {capture.name} has no folder {images.name}: {cure}"


MODELS = "sparse/0"  # stands for all folders in which COLMAP writes models
# Readers by the file by which a layout is recognised; of several in a folder the first in this order is read.
READERS: dict[str, Reader] = {
    "opencv_cameras.json": _opencv,
    "transforms.json": _nerfstudio,
    "nerfstudio/transforms.json": lambda root, images: _nerfstudio(root, images, "nerfstudio"),
    MODELS: _colmap,
    "poses_bounds.npy": _llff,
}
CAMERAS = tuple(dict.fromkeys(Path(name).name for name in READERS if name != MODELS))


def find_layout(folder: Path) -> Reader | None:
    """The reader for the layout of a folder of posed images, or None if the layout is unknown."""
    for name, reader in READERS.items():
        if colmap.find_models(folder) if name == MODELS else is_file(folder / name):
            return reader
    return None
