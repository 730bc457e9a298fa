"""Readers for the layouts of posed images that `captures` supports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ilrm.data.scene import PointCloud
from ilrm.data.sources import colmap
from ilrm.data.sources.distortion import PINHOLES, make_camera
from ilrm.errors import DataError, IlrmError
from ilrm.system.files import below

if TYPE_CHECKING:
    import pycolmap

IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8")
SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG")
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """A frame as described in the files of its layout."""

    path: Path
    camera: pycolmap.Camera  # for the full-size or the stored image
    c2w: np.ndarray  # [4, 4] OpenCV


Reader = Callable[[Path, str], tuple[list[Frame], PointCloud | None]]


def find_layout(folder: Path) -> Reader | None:
    """The reader for the layout of a folder of posed images, or None if the layout is unknown."""
    if (folder / "opencv_cameras.json").is_file():
        return _opencv
    if (folder / "transforms.json").is_file():
        return _nerfstudio
    if (folder / "nerfstudio" / "transforms.json").is_file():
        return lambda root, images: _nerfstudio(root, images, "nerfstudio")
    if colmap.find_model(folder) is not None:
        return _colmap
    if (folder / "poses_bounds.npy").is_file():
        return _llff
    return None


def reduction(path: Path) -> int:
    """Downsampling factor N of an image in a folder images_N, else 1."""
    for folder in path.parents:  # images may lie in subfolders
        if folder.name == "images":
            return 1
        if match := re.fullmatch(r"images_([1-9]\d*)", folder.name):
            return int(match[1])
    return 1


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is truncated or not valid JSON ({error}): export it again"
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("frames"), list):
        raise DataError(f"{path} has no list of frames: export it again")
    return value


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


def _field(frame: dict[str, Any], name: str, where: str) -> Any:
    if name not in frame:
        raise DataError(f"{where} has no {name}: export the cameras again")
    return frame[name]


def _whole(value: Any) -> int:
    """Convert to int. Raises ValueError on a number with a fractional part."""
    if int(value) != float(value):
        raise ValueError(f"{value} is not a whole number of pixels")
    return int(value)


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
        yield
    except IlrmError:
        raise
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DataError(
            f"{where}: a value of a wrong type ({error}): export the cameras again"
        ) from error


def _opencv(folder: Path, image_folder: str) -> tuple[list[Frame], PointCloud | None]:
    """Long-LRM's layout: undistorted images, world-to-camera matrices, intrinsics in pixels."""
    path = folder / "opencv_cameras.json"
    frames = []
    for number, entry in enumerate(_json(path)["frames"]):
        where = f"{path}, frame {number}"
        with _conversion_errors(where):
            width, height = (_whole(_field(entry, name, where)) for name in ("w", "h"))
            intrinsics = [float(_field(entry, name, where)) for name in ("fx", "fy", "cx", "cy")]
            camera = make_camera("PINHOLE", width, height, intrinsics, where)
            name = Path(_field(entry, "file_path", where))
            c2w = _inverse(_matrix(_field(entry, "w2c", where), where))
            image = _image(folder, folder, name, image_folder, where)
            frames.append(Frame(image, camera, c2w))
    return frames, None


def _nerfstudio(
    root: Path, image_folder: str, below_root: str = ""
) -> tuple[list[Frame], PointCloud | None]:
    """nerfstudio's and instant-ngp's transforms.json: OpenGL camera-to-world matrices."""
    folder = root / below_root
    path = folder / "transforms.json"
    shared = _json(path)
    frames = []
    for number, own in enumerate(shared["frames"]):
        where = f"{path}, frame {number}"
        with _conversion_errors(where):
            entry = {**shared, **own}
            name = Path(_field(entry, "file_path", where))
            image = _image(root, folder, name, image_folder, where)
            full = _image(root, folder, name, "", where)
            camera = _nerfstudio_camera(entry, full, image, where)
            c2w = _matrix(_field(entry, "transform_matrix", where), where) @ OPENGL_TO_OPENCV
            frames.append(Frame(image, camera, c2w))
    return sorted(frames, key=lambda frame: frame.path), None


def _full_size(full: Path, image: Path) -> tuple[int, int]:
    """Width and height for a camera without a size: those of the full-size image if it exists, else those of
    the downsampled image times its factor. (1, 1) if both are missing, which `_scene` reports.
    """
    path = full if full.is_file() else image
    try:
        with Image.open(path) as opened:
            width, height = opened.size
    except OSError:
        return 1, 1
    factor = reduction(path)
    return width * factor, height * factor


def _focal(entry: dict[str, Any], axis: str, side: int, where: str) -> float:
    """Focal length in pixels, stored as such or as the field of view along an axis of `side` pixels."""
    if f"fl_{axis}" in entry:
        return float(entry[f"fl_{axis}"])
    name = f"camera_angle_{axis}"
    angle = float(_field(entry, name, where))
    if not 0 < angle < math.pi:
        raise DataError(f"{where}: {name} is {angle:.4g}: need radians, between 0 and pi")
    return 0.5 * side / math.tan(0.5 * angle)


def _nerfstudio_camera(
    entry: dict[str, Any], full: Path, image: Path, where: str
) -> pycolmap.Camera:
    """The camera of the image `full` that the file refers to, when `image` is the one that is read."""
    if "w" in entry or "h" in entry:
        width, height = (_whole(_field(entry, name, where)) for name in ("w", "h"))
    else:
        width, height = _full_size(full, image)
    fx = _focal(entry, "x", width, where)
    fy = _focal(entry, "y", height, where) if {"fl_y", "camera_angle_y"} & entry.keys() else fx
    centre = float(entry.get("cx", width / 2)), float(entry.get("cy", height / 2))
    k = [float(entry.get(f"k{i}", 0.0)) for i in range(1, 7)]
    p = [float(entry.get(f"p{i}", 0.0)) for i in (1, 2)]
    model = str(entry.get("camera_model", "OPENCV"))
    if entry.get("is_fisheye"):
        model = "OPENCV_FISHEYE"
    if model in PINHOLES and any([*k, *p]):
        model = "OPENCV"  # nerfstudio applies the coefficients even to pinhole models
    distortion = {
        "SIMPLE_PINHOLE": [],
        "PINHOLE": [],
        "OPENCV": [*k[:2], *p],
        "OPENCV_FISHEYE": k[:4],
    }
    if model not in distortion:
        raise DataError(
            f"{where}: camera model {model} is not one of {', '.join(distortion)}: render perspective "
            "views, or undistort the images first"
        )
    if model == "OPENCV" and any(k[2:]):
        if any(k[3:]):
            raise DataError(
                f"{where}: distortion k4 and higher is not defined for camera model OPENCV: "
                "undistort the images first"
            )
        model, coefficients = "FULL_OPENCV", [*k[:2], *p, k[2], 0.0, 0.0, 0.0]
    else:
        coefficients = distortion[model]
    if not any(coefficients) and model != "OPENCV_FISHEYE":
        model, coefficients = "PINHOLE", []
    return make_camera(model, width, height, [fx, fy, *centre, *coefficients], where)


def _colmap(folder: Path, image_folder: str) -> tuple[list[Frame], PointCloud | None]:
    where = colmap.find_model(folder)
    assert where is not None
    model = colmap.read_model(where)
    # raw 3D-GS captures have their images in `input`
    images = folder / (image_folder or _first(folder, ("images", "input")))
    frames = []
    for image in model.images:
        path = _inside(folder, images / image.name, image_folder, f"{where}, image {image.name!r}")
        frames.append(Frame(path, image.camera, _inverse(image.w2c)))
    return frames, model.points


def _llff(folder: Path, image_folder: str) -> tuple[list[Frame], PointCloud | None]:
    """LLFF's poses_bounds.npy: per view a 3x5 matrix (axes down, right, backward; h, w, f), near, far."""
    path = folder / "poses_bounds.npy"
    try:
        poses = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} is truncated or not a NumPy array ({error}): export it again"
        ) from error
    if poses.ndim != 2 or poses.shape[1] != 17:
        raise DataError(
            f"{path}: shape {list(poses.shape)} instead of [N, 17]: give a file in LLFF's format"
        )
    images = folder / (image_folder or _first(folder, IMAGE_FOLDERS))
    files = sorted(f for f in images.glob("*") if f.suffix in SUFFIXES)
    if len(files) != len(poses):
        raise DataError(
            f"{path} has {len(poses)} poses, but {images} has {len(files)} images: need one image per pose"
        )
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
            parameters = [focal, focal, width / 2, height / 2]
            camera = make_camera("PINHOLE", round(width), round(height), parameters, where)
            frames.append(Frame(file, camera, c2w))
    return frames, None


def _first(folder: Path, names: tuple[str, ...]) -> str:
    return next((name for name in names if (folder / name).is_dir()), names[0])


def _inside(root: Path, path: Path, image_folder: str, where: str) -> Path:
    """Resolve the path of an image inside the capture's folder or the requested image folder.

    Raises DataError if the path lies outside.
    """
    inside = below(root, path) or below(root / image_folder, path)
    if inside is None:
        raise DataError(
            f"{where}: its image {str(path)!r} lies outside of {root}: move it into that folder and correct "
            "its name in the cameras"
        )
    return inside


def _image(root: Path, folder: Path, name: Path, image_folder: str, where: str) -> Path:
    """Path of the image that a JSON file in `folder` refers to, moved to `image_folder` if one is given.

    A name without a suffix is completed to an existing PNG or JPEG file. Raises DataError on a path outside
    of `root`.
    """
    path = _inside(root, folder / name, image_folder, where)
    if image_folder:
        shorter = Path(*name.parts[1:]) if len(name.parts) > 1 else name
        path = _inside(root, folder / image_folder / shorter, image_folder, where)
        if not path.parent.is_dir():
            path = _inside(root, folder / image_folder / name.name, image_folder, where)
    if not path.suffix:
        options = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
        path = next((option for option in options if option.is_file()), options[0])
    return path
