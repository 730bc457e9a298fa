"""COLMAP models in text and binary format: cameras, poses and points.

The files are parsed here rather than by pycolmap, which accepts truncated cameras and may hang on truncated
points. The camera models are pycolmap's.
"""

from __future__ import annotations

import codecs
import itertools
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ilrm.data.scene import PointCloud
from ilrm.data.sources.distortion import make_camera, model_names
from ilrm.errors import DataError
from ilrm.fields import shown_path
from ilrm.system.files import is_file
from ilrm.system.found_instead import describe_content, describe_path, first_bytes

if TYPE_CHECKING:
    import pycolmap

# Possible locations of a capture's models; the first row with any models is used. "*": COLMAP numbers the
# parts that it could not connect.
FOLDERS = (
    ("[sS]parse/*", "[sS]parse"),
    ("colmap/sparse/*", "colmap/sparse"),
    ("dense/sparse", "dense/*/sparse"),
    ("distorted/sparse/*", "distorted/sparse"),
)
SMALLEST_IMAGE = 73  # bytes in images.bin


@dataclass(frozen=True)
class ColmapImage:
    """A registered image."""

    name: str  # relative to the image folder
    camera: pycolmap.Camera
    w2c: np.ndarray  # [4, 4]


@dataclass(frozen=True)
class ColmapModel:
    """The contents of a model's three files, without tracks."""

    images: list[ColmapImage]  # sorted by name
    points: PointCloud


def find_models(capture: Path) -> list[Path]:
    """The folders of a capture's COLMAP models, those with most images first; empty if there are none."""
    for patterns in FOLDERS:
        found = [folder for pattern in patterns for folder in sorted(capture.glob(pattern))]
        seen = [f for f in found if not any(p[0] == "." for p in f.relative_to(capture).parts)]
        if models := [folder for folder in seen if _suffix(folder) or _suffix(folder, "images")]:
            return sorted(models, key=_image_count, reverse=True)
    return [capture] if _suffix(capture) else []


def other_models(capture: Path, models: list[Path]) -> list[str]:
    """A line that says which of a capture's models is read, if there are several."""
    if len(models) < 2:
        return []
    counts = [f"{_name(capture, folder)} ({_image_count(folder)} images)" for folder in models]
    return [
        f"COLMAP split it into {len(models)} models that are not connected: {counts[0]} is read, "
        f"{', '.join(counts[1:])} left out; reconstruct --colmap names another one"
    ]


def _name(capture: Path, folder: Path) -> str:
    return folder.relative_to(capture).as_posix()


def _suffix(folder: Path, part: str = "cameras") -> str | None:
    """Format of the model in a folder, by one of its files, or None if it does not exist."""
    return next((s for s in (".bin", ".txt") if is_file(folder / f"{part}{s}")), None)


def _image_count(folder: Path) -> int:
    """Number of images of a model by the start of its file; 0 if that cannot be read."""
    suffix = _suffix(folder)
    try:
        if suffix == ".bin":
            path = folder / "images.bin"
            with path.open("rb") as file:
                count = struct.unpack("<Q", file.read(8))[0]
            return count if SMALLEST_IMAGE * count <= path.stat().st_size else 0
        return len(_text_images(folder / "images.txt"))
    except (OSError, struct.error, ValueError, IndexError):
        return 0


def read_model(folder: Path) -> ColmapModel:
    """Read a model from its folder. Raises DataError on truncated files, another format, or an unknown camera
    model.
    """
    suffix = _suffix(folder) or _suffix(folder, "images")
    if suffix is None:
        raise DataError(
            f"{shown_path(folder)} is not a COLMAP model: give a folder with cameras.bin or cameras.txt"
        )
    read = {".bin": _BINARY, ".txt": _TEXT}[suffix]
    cameras: dict[int, pycolmap.Camera] = _read(folder / f"cameras{suffix}", read[0])
    posed = _read(folder / f"images{suffix}", read[1])
    images = []
    for name, camera, pose in sorted(posed):
        if camera not in cameras:
            raise DataError(
                f"{folder}: image {name} refers to camera {camera}, which cameras{suffix} lacks: "
                "export the model again"
            )
        images.append(ColmapImage(name, cameras[camera], _w2c(pose)))
    points = np.zeros((0, 6))
    if (path := folder / f"points3D{suffix}").is_file():
        points = np.array(_read(path, read[2])).reshape(-1, 6)
    cloud = torch.from_numpy(points[np.isfinite(points).all(1)])
    return ColmapModel(images, PointCloud(cloud[:, :3], cloud[:, 3:].float() / 255))


def _w2c(pose: tuple[float, ...]) -> np.ndarray:
    """World-to-camera matrix from (qw, qx, qy, qz, tx, ty, tz)."""
    length = np.linalg.norm(pose[:4])
    if length < 1e-9:
        return np.full((4, 4), np.nan)  # invalid rotation, which is reported with its frame later
    w, x, y, z = np.array(pose[:4]) / length
    w2c = np.eye(4)
    w2c[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    w2c[:3, 3] = pose[4:]
    return w2c


def _read(path: Path, parse: Callable):
    try:
        return parse(path)
    except FileNotFoundError as error:
        missing = "is missing: copy the whole model folder (cameras, images, points3D)"
        raise DataError(f"{path} {describe_path(path) or missing}") from error
    except DataError:
        raise
    except (struct.error, ValueError, IndexError, StopIteration, OverflowError) as error:
        if (words := describe_content(first_bytes(path))) is not None:
            raise DataError(f"{path} {words}") from error
        raise DataError(
            f"{path} is truncated or not a COLMAP file ({error or 'it ends too early'}): "
            "export the model again"
        ) from error


class _Bytes:
    """Sequential reader of a binary file."""

    def __init__(self, path: Path):
        self.data, self.at = path.read_bytes(), 0

    def take(self, form: str) -> tuple:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def name(self) -> str:
        end = self.data.index(b"\0", self.at)
        name, self.at = os.fsdecode(self.data[self.at : end]), end + 1  # any bytes may name a file
        return name

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise ValueError(f"it ends {self.at - len(self.data)} bytes too early")

    def end(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes follow its last entry")


def _binary_cameras(path: Path) -> dict[int, pycolmap.Camera]:
    file, names = _Bytes(path), model_names()
    cameras = {}
    for _ in range(*file.take("Q")):
        number, model, width, height = file.take("iiQQ")
        name = names.get(model, f"number {model}")
        parameters = file.take(f"{_parameters(name, path)}d")
        cameras[number] = make_camera(name, width, height, parameters, f"{path}, camera {number}")
    file.end()
    return cameras


def _binary_images(path: Path) -> list[tuple[str, int, tuple[float, ...]]]:
    file = _Bytes(path)
    images = []
    for _ in range(*file.take("Q")):
        _, *pose, camera = file.take("i7di")
        images.append((file.name(), camera, tuple(pose)))
        file.skip(24 * file.take("Q")[0])  # x, y, point of each observation
    file.end()
    return images


def _binary_points(path: Path) -> list[tuple[float, ...]]:
    file = _Bytes(path)
    points = []
    for _ in range(*file.take("Q")):
        _, *point, _ = file.take("Q3d3Bd")
        points.append(tuple(point))
        file.skip(8 * file.take("Q")[0])  # image, observation of each track element
    file.end()
    return points


def _lines(path: Path) -> list[list[str]]:
    """The words of each line, without comments."""
    return [line.split() for line in _written(path)]


def _written(path: Path) -> list[str]:
    """The lines of a text file, without comments."""
    return [line for line in _text(path).split("\n") if not line.lstrip().startswith("#")]


def _text(path: Path) -> str:
    """A text file with any line ends: UTF-16 with a byte order mark, else names may contain any bytes."""
    data = path.read_bytes()
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16") if utf_16 else os.fsdecode(data.removeprefix(codecs.BOM_UTF8))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_count(path: Path, entries: int) -> None:
    """Raise ValueError if the number of entries differs from the one in COLMAP's header."""
    header = re.search(r"^\s*# Number of \w+: (\d+)", _text(path), re.MULTILINE)
    if header and int(header[1]) != entries:
        raise ValueError(f"its header announces {header[1]} entries, but it has {entries}")


def _text_cameras(path: Path) -> dict[int, pycolmap.Camera]:
    cameras = {}
    for words in filter(None, _lines(path)):
        number, model, width, height, *parameters = words
        values = [float(p) for p in parameters]
        where = f"{path}, camera {number}"
        cameras[int(number)] = make_camera(model, int(width), int(height), values, where)
    _check_count(path, len(cameras))
    return cameras


def _text_images(path: Path) -> list[tuple[str, int, tuple[float, ...]]]:
    lines = _written(path)
    while lines and not lines[0].strip():
        lines.pop(0)
    images = []
    # every second line lists observations (x, y, point) and may be empty
    for line, after in itertools.zip_longest(lines[::2], lines[1::2], fillvalue=""):
        words, observations = line.split(maxsplit=9), after.split()  # a name may contain spaces
        if not words:
            continue
        if len(observations) % 3 or not all(map(_is_number, observations)):
            raise ValueError(
                f"the line of observations after image {words[-1]} is missing; it may be empty"
            )
        if len(words) < 10:
            raise ValueError(f"an image has {len(words)} values instead of 10")
        images.append((words[9], int(words[8]), tuple(map(float, words[1:8]))))
    _check_count(path, len(images))
    return images


def _text_points(path: Path) -> list[tuple[float, ...]]:
    lines = list(filter(None, _lines(path)))
    if any(len(words) < 8 for words in lines):
        raise ValueError("a point has fewer than 8 values")
    _check_count(path, len(lines))
    return [tuple(map(float, words[1:7])) for words in lines]


def _parameters(model: str, path: Path) -> int:
    """Number of parameters of a camera model. Raises DataError."""
    return len(make_camera(model, 1, 1, None, str(path)).params)


_BINARY: tuple[Callable, Callable, Callable] = (_binary_cameras, _binary_images, _binary_points)
_TEXT: tuple[Callable, Callable, Callable] = (_text_cameras, _text_images, _text_points)
