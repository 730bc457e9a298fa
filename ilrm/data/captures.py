"""Own captures and folders of scenes: COLMAP, nerfstudio and instant-ngp, LLFF, undistorted OpenCV cameras.

Every layout becomes a `Scene` here: OpenCV axes, pinhole cameras in pixels, frames in the order of their
names. Distorted images are undistorted (or, where a protocol says so, used as they are, with a line
that says it).
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycolmap
import torch
from PIL import Image

from ilrm.data import colmap
from ilrm.data.distortion import ignoring_distortion, make_camera, pinhole, source
from ilrm.data.errors import (
    BadCamerasError,
    BadImageError,
    BadShapeError,
    CameraModelError,
    CaptureMissingError,
    CaptureUnreadableError,
    EmptyDatasetError,
    SceneMissingError,
)
from ilrm.data.scene import PointCloud, Scene, Scenes
from ilrm.errors import IlrmError

IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8")
SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG")
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
Distortion = Literal["undistort", "ignore"]


@dataclass(frozen=True)
class _Frame:
    """A frame as its layout describes it."""

    path: Path
    camera: pycolmap.Camera  # of the full-size image, or of the stored one
    c2w: np.ndarray  # [4, 4] OpenCV


def read_capture(
    folder: str | Path, image_folder: str = "", distortion: Distortion = "undistort"
) -> Scene:
    """The scene of a capture's folder.

    `image_folder` names the folder of images to read, such as images_4; by default the one that the layout
    names. Images of images_N may be N times smaller than their cameras. Raises CaptureMissingError
    on a folder of no known layout, CaptureUnreadableError, CameraModelError, BadCamerasError, and
    BadImageError or BadShapeError for a frame whose image is missing or has another size than its camera.
    """
    folder = Path(folder)
    read = _layout(folder)
    if read is None:
        raise CaptureMissingError(
            f"{folder} holds no posed images: need a COLMAP model (sparse/0), transforms.json, "
            "opencv_cameras.json or poses_bounds.npy"
        )
    frames, points = read(folder, image_folder)
    if not frames:
        raise CaptureUnreadableError(f"{folder}: no frame with a pose: register images first")
    return _scene(folder.resolve().name, frames, points, distortion)


def is_capture(folder: Path) -> bool:
    """Whether a folder has one of the layouts that `read_capture` reads."""
    return _layout(folder) is not None


Reader = Callable[[Path, str], tuple[list[_Frame], PointCloud | None]]


def _layout(folder: Path) -> Reader | None:
    if (folder / "opencv_cameras.json").is_file():
        return _opencv
    if (folder / "transforms.json").is_file():
        return _nerfstudio
    if (folder / "nerfstudio" / "transforms.json").is_file():
        return lambda root, images: _nerfstudio(root / "nerfstudio", images)
    if colmap.find_model(folder) is not None:
        return _colmap
    if (folder / "poses_bounds.npy").is_file():
        return _llff
    return None


def _scene(
    key: str, frames: list[_Frame], points: PointCloud | None, distortion: Distortion
) -> Scene:
    sources, sizes, fxfycxcy = [], [], []
    ignored = 0
    for frame in frames:
        where = f"capture {key}, frame {frame.path.name}"
        if not np.isfinite(frame.c2w).all():
            raise BadCamerasError(
                f"{where}: its pose is not finite: remove the frame from the cameras"
            )
        rotation = frame.c2w[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-2 or np.linalg.det(rotation) < 0:
            raise BadCamerasError(
                f"{where}: the rotation of its pose is no rotation: export the cameras again"
            )
        camera = _fitted(frame.camera, frame.path, where)
        if distortion == "ignore" and not camera.is_undistorted():
            camera, ignored = ignoring_distortion(camera), ignored + 1
        sources.append(source(frame.path, camera))
        flat = pinhole(camera, where)
        sizes.append((flat.height, flat.width))
        fxfycxcy.append([flat.focal_length_x, flat.focal_length_y, *flat.params[-2:]])
    if ignored:
        print(f"capture {key}: the lens distortion of {ignored} frames is ignored, as asked for")
    c2w = torch.from_numpy(np.stack([frame.c2w for frame in frames])).float()
    if not c2w.isfinite().all():
        raise BadCamerasError(
            f"capture {key}: a pose is too large for 32 bits: recentre the cameras"
        )
    names = [frame.path.name for frame in frames]
    return Scene(key, torch.tensor(fxfycxcy).float(), c2w, sources, sizes, names, points=points)


def _fitted(camera: pycolmap.Camera, path: Path, where: str) -> pycolmap.Camera:
    """The camera scaled to its image, if that is one of a folder of smaller ones."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except FileNotFoundError as error:
        raise BadImageError(
            f"{where}: {path} is missing: fetch the image or remove the frame from the cameras"
        ) from error
    except OSError as error:
        raise BadImageError(f"{where}: {path} is no image ({error}): fetch it again") from error
    if (camera.width, camera.height) == (width, height):
        return camera
    prefix, _, factor = path.parent.name.rpartition("_")
    expected = None
    if prefix == "images" and factor.isdigit() and int(factor) > 0:
        expected = camera.width / int(factor), camera.height / int(factor)
    if expected is None or max(abs(width - expected[0]), abs(height - expected[1])) > 1:
        raise BadShapeError(
            f"{where}: {path} has {height}x{width} pixels, its camera {camera.height}x{camera.width}: "
            "give the images that the cameras were made from, smaller ones in images_2, images_4 or images_8"
        )
    scaled = pycolmap.Camera(
        model=camera.model_name, width=camera.width, height=camera.height, params=camera.params
    )
    scaled.rescale(width, height)
    return scaled


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CaptureUnreadableError(
            f"{path} is truncated or no JSON ({error}): export it again"
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("frames"), list):
        raise CaptureUnreadableError(f"{path} has no list of frames: export it again")
    return value


def _matrix(value: Any, where: str) -> np.ndarray:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise BadCamerasError(f"{where}: its pose is no 4x4 matrix: export the cameras again")
    return np.vstack([matrix[:3], [0.0, 0.0, 0.0, 1.0]])


def _field(frame: dict[str, Any], name: str, where: str) -> Any:
    if name not in frame:
        raise CaptureUnreadableError(f"{where} has no {name}: export the cameras again")
    return frame[name]


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a rigid motion; NaN where there is none, which `_scene` reports."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full((4, 4), np.nan)


@contextmanager
def _values_of(where: str) -> Iterator[None]:
    """Values of a wrong kind, such as text for a number, as an error that says where."""
    try:
        yield
    except IlrmError:
        raise
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise CaptureUnreadableError(
            f"{where}: a value of a wrong kind ({error}): export the cameras again"
        ) from error


def _opencv(folder: Path, image_folder: str) -> tuple[list[_Frame], PointCloud | None]:
    """Long-LRM's layout: undistorted images, world-to-camera matrices, intrinsics in pixels."""
    path = folder / "opencv_cameras.json"
    frames = []
    for number, entry in enumerate(_json(path)["frames"]):
        where = f"{path}, frame {number}"
        with _values_of(where):
            width, height = (int(_field(entry, name, where)) for name in ("w", "h"))
            intrinsics = [float(_field(entry, name, where)) for name in ("fx", "fy", "cx", "cy")]
            camera = make_camera("PINHOLE", width, height, intrinsics, where)
            name = Path(_field(entry, "file_path", where))
            c2w = _inverse(_matrix(_field(entry, "w2c", where), where))
            frames.append(_Frame(_image(folder, name, image_folder), camera, c2w))
    return frames, None


def _nerfstudio(folder: Path, image_folder: str) -> tuple[list[_Frame], PointCloud | None]:
    """nerfstudio's and instant-ngp's transforms.json: OpenGL camera-to-world matrices."""
    path = folder / "transforms.json"
    shared = _json(path)
    frames = []
    for number, own in enumerate(shared["frames"]):
        where = f"{path}, frame {number}"
        with _values_of(where):
            entry = {**shared, **own}
            image = _image(folder, Path(_field(entry, "file_path", where)), image_folder)
            camera = _nerfstudio_camera(entry, image, where)
            c2w = _matrix(_field(entry, "transform_matrix", where), where) @ OPENGL_TO_OPENCV
            frames.append(_Frame(image, camera, c2w))
    return sorted(frames, key=lambda frame: frame.path.name), None


def _nerfstudio_camera(entry: dict[str, Any], image: Path, where: str) -> pycolmap.Camera:
    if "w" in entry:
        width, height = int(entry["w"]), int(_field(entry, "h", where))
    elif image.is_file():
        width, height = Image.open(image).size
    else:
        width, height = 1, 1  # the missing image is reported by `_scene`
    if "fl_x" in entry:
        fx = float(entry["fl_x"])
    else:
        fx = 0.5 * width / math.tan(0.5 * float(_field(entry, "camera_angle_x", where)))
    fy = float(entry.get("fl_y", fx))
    centre = float(entry.get("cx", width / 2)), float(entry.get("cy", height / 2))
    k = [float(entry.get(f"k{i}", 0.0)) for i in range(1, 7)]
    p = [float(entry.get(f"p{i}", 0.0)) for i in (1, 2)]
    model = str(entry.get("camera_model", "OPENCV"))
    if entry.get("is_fisheye"):
        model = "OPENCV_FISHEYE"
    distortion = {
        "SIMPLE_PINHOLE": [],
        "PINHOLE": [],
        "OPENCV": [*k[:2], *p],
        "OPENCV_FISHEYE": k[:4],
    }
    if model not in distortion:
        raise CameraModelError(
            f"{where}: camera model {model} is none of {', '.join(distortion)}: render perspective "
            "views, or undistort the images first"
        )
    if model == "OPENCV" and any(k[2:]):
        if any(k[3:]):
            raise CameraModelError(
                f"{where}: distortion k4 and higher of camera model OPENCV has no agreed meaning: "
                "undistort the images first"
            )
        model, coefficients = "FULL_OPENCV", [*k[:2], *p, k[2], 0.0, 0.0, 0.0]
    else:
        coefficients = distortion[model]
    if not any(coefficients) and model != "OPENCV_FISHEYE":
        model, coefficients = "PINHOLE", []
    return make_camera(model, width, height, [fx, fy, *centre, *coefficients], where)


def _colmap(folder: Path, image_folder: str) -> tuple[list[_Frame], PointCloud | None]:
    where = colmap.find_model(folder)
    assert where is not None
    model = colmap.read_model(where)
    images = folder / (image_folder or "images")
    if not images.is_dir() and not image_folder:
        images = folder / "input"  # of raw 3D-GS captures
    frames = [
        _Frame(images / image.name, image.camera, _inverse(image.w2c)) for image in model.images
    ]
    return frames, model.points


def _llff(folder: Path, image_folder: str) -> tuple[list[_Frame], PointCloud | None]:
    """LLFF's poses_bounds.npy: a 3x5 matrix a view (axes down, right, backward; h, w, f), near, far."""
    path = folder / "poses_bounds.npy"
    try:
        poses = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CaptureUnreadableError(
            f"{path} is truncated or no NumPy array ({error}): export it again"
        ) from error
    if poses.ndim != 2 or poses.shape[1] != 17:
        raise CaptureUnreadableError(
            f"{path}: shape {list(poses.shape)} instead of [N, 17]: this is no LLFF file"
        )
    images = folder / (image_folder or _first(folder, IMAGE_FOLDERS))
    files = sorted(f for f in images.glob("*") if f.suffix in SUFFIXES)
    if len(files) != len(poses):
        raise BadImageError(
            f"{path} has {len(poses)} poses, {images} {len(files)} images: need one a pose"
        )
    frames = []
    for number, (file, row) in enumerate(zip(files, poses, strict=True)):
        where = f"{path}, row {number}"
        with _values_of(where):
            down, right, backward, position, (height, width, focal) = row[:15].reshape(3, 5).T
            c2w = np.eye(4)
            c2w[:3] = np.stack([right, down, -backward, position], 1)
            if not np.isfinite([height, width, focal]).all():
                raise BadCamerasError(f"{where}: its height, width or focal length is not finite")
            parameters = [focal, focal, width / 2, height / 2]
            camera = make_camera("PINHOLE", round(width), round(height), parameters, where)
            frames.append(_Frame(file, camera, c2w))
    return frames, None


def _first(folder: Path, names: tuple[str, ...]) -> str:
    return next((name for name in names if (folder / name).is_dir()), names[0])


def _image(folder: Path, name: Path, image_folder: str) -> Path:
    """The image that a JSON file names, in `image_folder` if one is asked for; without a suffix, what is
    there of PNG and JPEG.
    """
    path = folder / name
    if image_folder:
        path = folder / image_folder / name.name
    if not path.suffix:
        found = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
        path = next((p for p in found if p.is_file()), path.with_name(path.name + SUFFIXES[0]))
    return path


class CaptureScenes(Scenes):
    """A folder of captures, one scene each, or one capture. Raises EmptyDatasetError."""

    def __init__(
        self,
        folder: str | Path,
        image_folder: str = "",
        distortion: Distortion = "undistort",
    ) -> None:
        super().__init__(Path(folder))
        self.image_folder, self.distortion = image_folder, distortion
        self.captures = {self.folder.resolve().name: self.folder}
        if not is_capture(self.folder):
            folders = sorted(f for f in self.folder.glob("*") if f.is_dir() and is_capture(f))
            self.captures = {f.name: f for f in folders}
        if not self.captures:
            raise EmptyDatasetError(
                f"{self.folder} is no capture and holds none: need folders with a COLMAP model, "
                "transforms.json, opencv_cameras.json or poses_bounds.npy"
            )

    @property
    def keys(self) -> list[str]:
        return list(self.captures)

    def load(self, key: str) -> Scene:
        """Raises SceneMissingError, and what read_capture raises."""
        if key not in self.captures:
            raise SceneMissingError(f"scene {key} is not in {self.folder}")
        return read_capture(self.captures[key], self.image_folder, self.distortion)
