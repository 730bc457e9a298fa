"""Captures and folders of captures: COLMAP, nerfstudio and instant-ngp, LLFF, undistorted OpenCV cameras.

Every layout is converted to a `Scene`: OpenCV axes, pinhole cameras in pixels, frames sorted by name (those
of opencv_cameras.json stay in file order, to which published indices refer). Distorted images are undistorted
or, if a protocol requires it, used as they are, which is reported on standard output.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from ilrm.data.framing import Distortion
from ilrm.data.scene import PointCloud, Scene, Scenes, fingerprint
from ilrm.data.sources.distortion import ignoring_distortion, pinhole, scaled, source
from ilrm.data.sources.layouts import Frame, find_layout, reduction
from ilrm.errors import DataError, EmptyDatasetError

if TYPE_CHECKING:
    import pycolmap

FOV = (0.5, 170.0)  # degrees; outside of this range, intrinsics are not in pixels
LARGEST = 1e12  # largest accepted camera coordinate


def read_capture(
    folder: str | Path, image_folder: str = "", distortion: Distortion = "undistort"
) -> Scene:
    """Read a capture from its folder.

    `image_folder`: name of the folder of images to read, such as images_4; by default, the one that the
    layout refers to. Images in images_N may be N times smaller than their cameras. Raises DataError on an
    unknown layout, on damaged files, and on frames whose image is missing or differs in size from its camera.
    """
    folder = Path(folder)
    read = find_layout(folder)
    if read is None:
        raise DataError(
            f"{folder} contains no posed images: need a COLMAP model (sparse/0), transforms.json, "
            "opencv_cameras.json or poses_bounds.npy"
        )
    if image_folder and not any(
        (root / image_folder).is_dir() for root in (folder, folder / "nerfstudio")
    ):
        raise DataError(
            f"{folder} has no folder {image_folder}: give an existing image folder, or leave it out"
        )
    frames, points = read(folder, image_folder)
    if not frames:
        raise DataError(f"{folder}: no frame has a pose: register images first")
    return _scene(folder.resolve().name, frames, points, distortion)


def is_capture(folder: Path) -> bool:
    """Whether `read_capture` can read the layout of a folder."""
    return find_layout(folder) is not None


def _scene(
    key: str, frames: list[Frame], points: PointCloud | None, distortion: Distortion
) -> Scene:
    sources, sizes, fxfycxcy = [], [], []
    ignored = 0
    for frame in frames:
        where = f"capture {key}, frame {frame.path.name}"
        if not np.isfinite(frame.c2w).all():
            raise DataError(f"{where}: its pose is not finite: remove the frame from the cameras")
        if np.abs(frame.c2w[:3, 3]).max() > LARGEST:
            raise DataError(f"{where}: its camera is beyond {LARGEST:.0g}: recentre the cameras")
        rotation = frame.c2w[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-2 or np.linalg.det(rotation) < 0:
            raise DataError(
                f"{where}: its pose does not contain a rotation matrix: export the cameras again"
            )
        camera = _fitted(frame.camera, frame.path, where)
        if distortion == "ignore" and not camera.is_undistorted():
            camera, ignored = ignoring_distortion(camera), ignored + 1
        sources.append(source(frame.path, camera))
        flat = pinhole(camera, where)
        sizes.append((flat.height, flat.width))
        _check_view(flat, where)
        fxfycxcy.append([flat.focal_length_x, flat.focal_length_y, *flat.params[-2:]])
    if ignored:
        print(
            f"capture {key}: the lens distortion of {ignored} frames is ignored, as the protocol requires"
        )
    c2w = torch.from_numpy(np.stack([frame.c2w for frame in frames]))  # double precision, see Scene
    names = _names(key, [frame.path for frame in frames])
    return Scene(key, torch.tensor(fxfycxcy).float(), c2w, sources, sizes, names, points=points)


def _names(key: str, paths: Sequence[Path]) -> list[str]:
    """Paths relative to the common folder of all images. Raises DataError on duplicates."""
    counts = Counter(path.resolve() for path in paths)
    if repeated := [path for path, count in counts.items() if count > 1]:
        raise DataError(
            f"capture {key}: {repeated[0].name} is the image of {counts[repeated[0]]} frames: keep one of "
            "them in the cameras"
        )
    root = os.path.commonpath([path.parent for path in paths])
    return [Path(os.path.relpath(path, root)).as_posix() for path in paths]


def _check_view(camera: pycolmap.Camera, where: str) -> None:
    """Raise DataError on implausible intrinsics."""
    width, height = camera.width, camera.height
    x, y = (float(value) for value in camera.params[-2:])
    for side, focal in ((width, camera.focal_length_x), (height, camera.focal_length_y)):
        fov = math.degrees(2 * math.atan(0.5 * side / focal))
        if not FOV[0] < fov < FOV[1] or not (0 < x < width and 0 < y < height):
            raise DataError(
                f"{where}: focal length {focal:.4g} and principal point ({x:.4g}, {y:.4g}) of an image of "
                f"{height}x{width} pixels: intrinsics must be in pixels; export the cameras again"
            )


def _fitted(camera: pycolmap.Camera, path: Path, where: str) -> pycolmap.Camera:
    """The camera, rescaled to its image if that comes from a folder of downsampled images."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except FileNotFoundError as error:
        raise DataError(
            f"{where}: {path} is missing: fetch the image or remove the frame from the cameras"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: {path} is not an image ({error}): fetch it again") from error
    if (camera.width, camera.height) == (width, height):
        return camera
    factor = reduction(path)
    expected = camera.width / factor, camera.height / factor
    if factor == 1 or max(abs(width - expected[0]), abs(height - expected[1])) > 1:
        raise DataError(
            f"{where}: {path} has {height}x{width} pixels, its camera {camera.height}x{camera.width}: "
            "use the cameras' own images, or downsampled ones in images_2, images_4 or images_8"
        )
    return scaled(camera, width, height)


class CaptureScenes(Scenes):
    """A folder of captures, one scene per capture, or a single capture. Raises EmptyDatasetError."""

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
                f"{self.folder} is not a capture and contains none: need folders with a COLMAP model, "
                "transforms.json, opencv_cameras.json or poses_bounds.npy"
            )

    @property
    def keys(self) -> list[str]:
        return list(self.captures)

    def load(self, key: str) -> Scene:
        """Load a scene by its key. Raises DataError, and whatever read_capture raises."""
        if key not in self.captures:
            raise DataError(f"scene {key} is not in {self.folder}")
        return read_capture(self.captures[key], self.image_folder, self.distortion)

    def version(self, key: str) -> str:
        folder = self.captures.get(key, self.folder)
        return fingerprint(path for path in folder.rglob("*") if path.is_file())
