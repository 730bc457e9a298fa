"""Camera models and undistortion with pycolmap, so that every image has a pinhole camera."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ilrm.data.images import decode
from ilrm.errors import DataError

if TYPE_CHECKING:
    import pycolmap

LONGEST = 1_000_000  # pixels; largest width or height
PINHOLES = ("SIMPLE_PINHOLE", "PINHOLE")


@cache
def load_pycolmap() -> ModuleType:
    """Import pycolmap, which only captures need. Raises DataError if it cannot be imported."""
    try:
        import pycolmap
    except ImportError as error:
        raise DataError(
            f"captures need pycolmap, which cannot be imported ({error}): run pip install pycolmap"
        ) from error

    # pycolmap logs every failing call to stderr in addition to raising an exception
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    # and reports SIGTERM as a crash
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
    return pycolmap


def make_camera(
    model: str, width: int, height: int, parameters: Sequence[float] | None, where: str
) -> pycolmap.Camera:
    """A camera of one of COLMAP's models; without `parameters`, a sample camera of the model.

    Raises DataError on an unknown model or invalid parameters.
    """
    pycolmap = load_pycolmap()
    known = [name for name in pycolmap.CameraModelId.__members__ if name != "INVALID"]
    if model not in known:
        raise DataError(
            f"{where}: camera model {model} is unknown: use one of COLMAP's ({', '.join(known)})"
        )
    if not (0 < width <= LONGEST and 0 < height <= LONGEST):
        raise DataError(
            f"{where}: {width:.6g}x{height:.6g} pixels: width and height must be positive, at most "
            f"{LONGEST:,}"
        )
    sample = pycolmap.Camera.create_from_model_name(0, model, 1.0, width, height)
    if parameters is None:
        return sample
    count = len(sample.params)
    if len(parameters) != count or not np.isfinite(parameters).all():
        raise DataError(
            f"{where}: {model} needs {count} finite parameters ({sample.params_info}), not "
            f"{list(parameters)}: export the cameras again"
        )
    camera = pycolmap.Camera(model=model, width=width, height=height, params=list(parameters))
    if camera.focal_length_idxs() and min(_focal(camera)) <= 0:
        raise DataError(
            f"{where}: parameters {list(parameters)}: focal lengths must be positive: export the cameras "
            "again"
        )
    return camera


def _focal(camera: pycolmap.Camera) -> list[float]:
    return [camera.params[i] for i in camera.focal_length_idxs()]


def pinhole(camera: pycolmap.Camera, where: str) -> pycolmap.Camera:
    """The pinhole camera of the undistorted image. Raises DataError if the camera cannot be undistorted."""
    pycolmap = load_pycolmap()
    try:
        return pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)
    except ValueError as error:
        raise DataError(
            f"{where}: images of a {camera.model_name} camera cannot be undistorted to pinhole images: "
            "render perspective views first"
        ) from error


def ignoring_distortion(camera: pycolmap.Camera) -> pycolmap.Camera:
    """The pinhole camera with the same focal lengths and principal point."""
    pycolmap = load_pycolmap()
    fx, fy = camera.focal_length_x, camera.focal_length_y
    parameters = [fx, fy, camera.principal_point_x, camera.principal_point_y]
    return pycolmap.Camera(
        model="PINHOLE", width=camera.width, height=camera.height, params=parameters
    )


@dataclass(frozen=True)
class ImageFile:
    """An image file, which is undistorted on opening unless it has a pinhole camera."""

    path: Path
    distorted: tuple[str, int, int, tuple[float, ...]] | None = None  # model, width, height, params
    upright: bool = False  # rotated by its EXIF orientation

    def open(self) -> Image.Image:
        image = decode(self.path, self.upright)
        if self.distorted is None:
            return image
        pycolmap = load_pycolmap()
        model, width, height, parameters = self.distorted
        if image.size != (width, height):
            return image  # Scene reports the mismatch, with the frame's name
        camera = pycolmap.Camera(model=model, width=width, height=height, params=list(parameters))
        bitmap = pycolmap.Bitmap.from_array(np.asarray(image))
        undistorted, _ = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, camera)
        return Image.fromarray(undistorted.to_array())


def scaled(camera: pycolmap.Camera, width: int, height: int) -> pycolmap.Camera:
    """The camera of the same image at another size."""
    copied = load_pycolmap().Camera(
        model=camera.model_name, width=camera.width, height=camera.height, params=camera.params
    )
    copied.rescale(width, height)
    return copied


def model_names() -> dict[int, str]:
    """Names of COLMAP's camera models by number."""
    members = load_pycolmap().CameraModelId.__members__
    return {model.value: name for name, model in members.items()}


def source(path: Path, camera: pycolmap.Camera, upright: bool = False) -> ImageFile:
    """The image file of a frame, which opens as an image of `pinhole(camera)`."""
    if camera.model_name in PINHOLES:
        return ImageFile(path, None, upright)
    lens = camera.model_name, camera.width, camera.height, tuple(camera.params)
    return ImageFile(path, lens, upright)
