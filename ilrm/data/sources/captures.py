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
from ilrm.data.scene import Scene, Scenes, fingerprint
from ilrm.data.sources.camera_checks import Problem, pose_problem, view_problem
from ilrm.data.sources.distortion import ignoring_distortion, pinhole, source
from ilrm.data.sources.layouts import Contents, Frame, colmap_layout, find_layout
from ilrm.data.sources.missing_layout import KNOWN, what_is_wrong
from ilrm.data.sources.stored_images import choose, fit
from ilrm.errors import DataError, EmptyDatasetError
from ilrm.fields import shown
from ilrm.system.files import is_folder, printable

if TYPE_CHECKING:
    import pycolmap

LEAST_LEFT = 0.25  # least share of an image's pixels that undistortion may leave
MOST_NAMED = 3  # folders named in one line


def read_capture(
    folder: str | Path,
    image_folder: str = "",
    distortion: Distortion = "undistort",
    model: str = "",
) -> Scene:
    """Read a capture from its folder, and print what is left out or read under another name.

    `image_folder`: name of the folder of images to read, such as images_4; by default, the one that the
    layout refers to. Images in images_N may be N times smaller than their cameras. `model`: folder of the
    COLMAP model to read, such as sparse/1; by default the one with most images. Raises DataError on an
    unknown layout, on damaged files, and on frames whose image is missing or differs in size from its camera.
    """
    folder = Path(folder)
    scene, notes = _read(folder, _key(folder), image_folder, distortion, model)
    for note in notes:
        print(f"capture {scene.key}: {note}")
    return scene


def is_capture(folder: Path) -> bool:
    """Whether `read_capture` can read the layout of a folder."""
    return find_layout(folder) is not None


def _key(folder: Path) -> str:
    """The name of a capture: that of its folder, or of the link to it that was given."""
    return printable(Path(os.path.normpath(folder.absolute())).name) or "capture"


def _read(
    folder: Path, key: str, image_folder: str, distortion: Distortion, model: str = ""
) -> tuple[Scene, list[str]]:
    """Read a capture, and return it with lines about what is left out or read under another name."""
    read = colmap_layout(folder, model) if model else find_layout(folder)
    if read is None:
        raise DataError(what_is_wrong(folder))
    if image_folder and not any(
        is_folder(root / image_folder) for root in (folder, folder / "nerfstudio")
    ):
        raise DataError(
            f"{folder} has no folder {shown(image_folder)}: give an existing image folder, or leave it out"
        )
    contents = read(folder, image_folder)
    if not contents.frames:
        raise DataError(f"{folder}: no frame has a pose: register images first")
    return _scene(key, contents, distortion)


def _scene(key: str, contents: Contents, distortion: Distortion) -> tuple[Scene, list[str]]:
    places = [f"capture {key}, frame {frame.path.name}" for frame in contents.frames]
    c2w = np.stack([frame.c2w for frame in contents.frames])  # double precision, see Scene
    _raise(pose_problem(c2w), places)
    fitting = zip(contents.frames, places, strict=True)
    chosen, turned = choose([fit(frame.camera, frame.path, where) for frame, where in fitting])
    sources, sizes, fxfycxcy, ignored = [], [], [], 0
    for frame, where, (camera, upright) in zip(contents.frames, places, chosen, strict=True):
        if distortion == "ignore" and not camera.is_undistorted():
            camera, ignored = ignoring_distortion(camera), ignored + 1
        flat = _flat(camera, where)
        sources.append(source(frame.path, camera, upright))
        sizes.append((flat.height, flat.width))
        fxfycxcy.append([flat.focal_length_x, flat.focal_length_y, *flat.params[-2:]])
    _raise(view_problem(np.array(fxfycxcy), np.array(sizes, float)), places)
    notes = [*contents.notes, *turned]
    if ignored:
        notes.append(
            f"the lens distortion of {ignored} frames is ignored, as the protocol requires"
        )
    scene = Scene(
        key,
        torch.tensor(fxfycxcy).float(),
        torch.from_numpy(c2w),
        sources,
        sizes,
        _names(key, contents.frames),
        points=contents.points,
    )
    return scene, notes


def _raise(problem: Problem | None, places: Sequence[str]) -> None:
    """Raise DataError on a problem of one of the frames at these places."""
    if problem is not None:
        frame, words = problem
        raise DataError(f"{places[frame]}: {words}")


def _flat(camera: pycolmap.Camera, where: str) -> pycolmap.Camera:
    """The pinhole camera of the undistorted image. Raises DataError if little is left of the image."""
    flat = pinhole(camera, where)
    if flat.width * flat.height < LEAST_LEFT * camera.width * camera.height:
        lens = ", ".join(f"{value:.4g}" for value in camera.params)
        raise DataError(
            f"{where}: undistortion leaves {flat.height}x{flat.width} of {camera.height}x{camera.width} "
            f"pixels ({camera.model_name} {lens}): correct the distortion coefficients"
        )
    return flat


def _names(key: str, frames: Sequence[Frame]) -> list[str]:
    """Paths relative to the common folder of all images. Raises DataError on duplicates."""
    paths = [frame.path for frame in frames]
    counts = Counter(path.resolve() for path in paths)
    if repeated := [path for path, count in counts.items() if count > 1]:
        raise DataError(
            f"capture {key}: {repeated[0].name} is the image of {counts[repeated[0]]} frames: keep one of "
            "them in the cameras"
        )
    root = os.path.commonpath([path.parent for path in paths])
    return [printable(Path(os.path.relpath(path, root)).as_posix()) for path in paths]


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
        self.captures = {_key(self.folder): self.folder}
        others: list[str] = []
        if not is_capture(self.folder):
            folders = sorted(f for f in self.folder.glob("[!.]*") if is_folder(f))
            self.captures = {printable(f.name): f for f in folders if is_capture(f)}
            others = [name for f in folders if (name := printable(f.name)) not in self.captures]
        if not self.captures:
            raise EmptyDatasetError(
                f"{self.folder} is not a capture and contains none: need folders with {KNOWN}"
            )
        if others:
            more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
            self.say(
                f"{', '.join(others[:MOST_NAMED])}{more} in {self.folder} have no cameras: left out"
            )

    @property
    def keys(self) -> list[str]:
        return list(self.captures)

    def load(self, key: str) -> Scene:
        """Load a scene by its key. Raises DataError, and whatever read_capture raises."""
        if key not in self.captures:
            raise DataError(f"scene {key} is not in {self.folder}")
        scene, notes = _read(self.captures[key], key, self.image_folder, self.distortion)
        for note in notes:
            self.say(f"capture {scene.key}: {note}")
        return scene

    def version(self, key: str) -> str:
        """Identifier of all files below the capture's folder, including targets of links."""
        return fingerprint(_files(self.captures.get(key, self.folder)))


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder; links to folders are followed, each folder is visited once."""
    visited = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(where))
        folders[:] = [f for f in folders if os.path.realpath(Path(where, f)) not in visited]
        yield from (path for name in names if (path := Path(where, name)).is_file())
