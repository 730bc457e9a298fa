"""Captures and folders of captures: COLMAP, nerfstudio and instant-ngp, LLFF, undistorted OpenCV cameras.

Every layout is converted to a `Scene`: OpenCV axes, pinhole cameras in pixels, frames sorted by name (those
of opencv_cameras.json stay in file order, to which published indices refer). Distorted images are undistorted
or, if a protocol requires it, used as they are, which is reported on standard output.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ilrm.data.framing import Distortion
from ilrm.data.images import SIDEWAYS, read_size
from ilrm.data.scene import Scene, Scenes, fingerprint
from ilrm.data.sources.distortion import ignoring_distortion, pinhole, scaled, source
from ilrm.data.sources.image_lookup import reduction, what_is_there
from ilrm.data.sources.layouts import Contents, colmap_layout, find_layout
from ilrm.errors import DataError, EmptyDatasetError
from ilrm.system.files import is_file

if TYPE_CHECKING:
    import pycolmap

FOV = (0.5, 170.0)  # degrees; outside of this range, intrinsics are not in pixels
SLANT = 75.0  # degrees: largest angle between the optical axis and the middle of an image
UNITS = (
    1.5  # a principal point below this, in an image of more pixels, is in units of the image's size
)
LARGEST = 1e12  # largest accepted camera coordinate


def read_capture(
    folder: str | Path,
    image_folder: str = "",
    distortion: Distortion = "undistort",
    model: str = "",
) -> Scene:
    """Read a capture from its folder. What is left out or read otherwise than it is named is printed.

    `image_folder`: name of the folder of images to read, such as images_4; by default, the one that the
    layout refers to. Images in images_N may be N times smaller than their cameras. `model`: folder of the
    COLMAP model to read, such as sparse/1; by default the one with most images. Raises DataError on an
    unknown layout, on damaged files, and on frames whose image is missing or differs in size from its camera.
    """
    scene, notes = _read(Path(folder), image_folder, distortion, model)
    for note in notes:
        print(f"capture {scene.key}: {note}")
    return scene


def is_capture(folder: Path) -> bool:
    """Whether `read_capture` can read the layout of a folder."""
    return find_layout(folder) is not None


def _read(
    folder: Path, image_folder: str, distortion: Distortion, model: str = ""
) -> tuple[Scene, list[str]]:
    """A capture, and lines about what is left out of it or read otherwise than it is named."""
    read = colmap_layout(folder, model) if model else find_layout(folder)
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
    contents = read(folder, image_folder)
    if not contents.frames:
        raise DataError(f"{folder}: no frame has a pose: register images first")
    return _scene(folder.resolve().name, contents, distortion)


def _scene(key: str, contents: Contents, distortion: Distortion) -> tuple[Scene, list[str]]:
    sources, sizes, fxfycxcy = [], [], []
    ignored, turned = 0, 0
    for frame in contents.frames:
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
        camera, upright = _fitted(frame.camera, frame.path, where)
        turned += upright
        if distortion == "ignore" and not camera.is_undistorted():
            camera, ignored = ignoring_distortion(camera), ignored + 1
        sources.append(source(frame.path, camera, upright))
        flat = pinhole(camera, where)
        sizes.append((flat.height, flat.width))
        _check_view(flat, where)
        fxfycxcy.append([flat.focal_length_x, flat.focal_length_y, *flat.params[-2:]])
    notes = list(contents.notes)
    if ignored:
        notes.append(
            f"the lens distortion of {ignored} frames is ignored, as the protocol requires"
        )
    if turned:
        notes.append(f"{turned} photos are turned upright as their EXIF orientation says")
    c2w = np.stack([frame.c2w for frame in contents.frames])  # double precision, see Scene
    names = _names(key, [frame.path for frame in contents.frames])
    scene = Scene(
        key,
        torch.tensor(fxfycxcy).float(),
        torch.from_numpy(c2w),
        sources,
        sizes,
        names,
        points=contents.points,
    )
    return scene, notes


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
    """Raise DataError on implausible intrinsics. The principal point of a crop may lie outside of it."""
    size = np.array([camera.width, camera.height])
    focal = np.array([camera.focal_length_x, camera.focal_length_y])
    centre = np.array(camera.params[-2:])
    given = (
        f"{where}: focal length {focal[0]:.4g} and principal point ({centre[0]:.4g}, {centre[1]:.4g}) of an "
        f"image of {camera.height}x{camera.width} pixels"
    )
    fov = np.rad2deg(2 * np.arctan(0.5 * size / focal))
    in_units = min(size) > 2 * UNITS and (np.abs(centre) <= UNITS).all()
    if in_units or fov.min() <= FOV[0] or fov.max() >= FOV[1]:
        problem = (
            "the principal point is in the corner"
            if in_units
            else f"a view of {fov[0]:.3g} degrees"
        )
        raise DataError(
            f"{given}: {problem}: intrinsics must be in pixels; export the cameras again"
        )
    slant = np.rad2deg(np.arctan(np.hypot(*((0.5 * size - centre) / focal))))
    if slant > SLANT:
        raise DataError(
            f"{given}: the image is seen {slant:.0f} degrees off the optical axis, at most {SLANT:.0f} are "
            "supported: correct the principal point"
        )


def _fitted(camera: pycolmap.Camera, path: Path, where: str) -> tuple[pycolmap.Camera, bool]:
    """The camera, rescaled to its image if that comes from a folder of downsampled images, and whether the
    image has to be turned upright because its camera is that of the upright photo.
    """
    if not is_file(path):
        raise DataError(
            f"{where}: {path} is missing ({what_is_there(path)}): fetch the image or remove the frame from "
            "the cameras"
        )
    try:
        stored, orientation = read_size(path)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    factor = reduction(path)
    expected = camera.width / factor, camera.height / factor
    sideways = orientation in SIDEWAYS
    for (width, height), upright in ((stored, False), (stored[::-1], True)):
        if upright and not sideways:
            break
        if (camera.width, camera.height) == (width, height):
            return camera, upright
        if factor > 1 and max(abs(width - expected[0]), abs(height - expected[1])) <= 1:
            return scaled(camera, width, height), upright
    raise DataError(
        f"{where}: {path} has {stored[1]}x{stored[0]} pixels, its camera {camera.height}x{camera.width}: "
        "use the cameras' own images, or downsampled ones in images_2, images_4 or images_8"
    )


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
            folders = sorted(f for f in self.folder.glob("[!.]*") if f.is_dir() and is_capture(f))
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
        scene, notes = _read(self.captures[key], self.image_folder, self.distortion)
        for note in notes:
            self.say(f"capture {scene.key}: {note}")
        return scene

    def version(self, key: str) -> str:
        """Identifier of all files below the capture's folder, also those that links lead to."""
        return fingerprint(_files(self.captures.get(key, self.folder)))


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder; links to folders are followed, each folder is visited once."""
    visited = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(where))
        folders[:] = [f for f in folders if os.path.realpath(Path(where, f)) not in visited]
        yield from (path for name in names if (path := Path(where, name)).is_file())
