"""Video of a flight along a capture's own path.

Two files, which OpenCV writes without further packages: VP9 in WebM for browsers, and MPEG-4 Part 2 in MP4
for QuickTime and PowerPoint.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.errors import IlrmError
from ilrm.gaussians import Gaussians
from ilrm.rendering import render
from ilrm.system.files import atomic_path, readable_by_libraries
from ilrm.system.progress import progress_bar

FRAMES_PER_SECOND = 24
KEYS = 16  # cameras that a path passes through
MOST = 1_000  # largest number of cameras that are ordered
# an order whose median step is this many times the distance to the nearest camera is not a path
DETOUR = 3.0
CODECS = {".webm": "VP90", ".mp4": "mp4v"}


def flight_order(c2w: Float[Tensor, "N 4 4"]) -> list[int]:
    """At most KEYS cameras in the order of a flight: their own order, unless it jumps back and forth;
    otherwise from one end always to the nearest remaining camera.
    """
    if len(c2w) > MOST:
        some = np.linspace(0, len(c2w) - 1, MOST).round().astype(int)
        return [int(some[i]) for i in flight_order(c2w[some])]
    places = c2w[:, :3, 3].double()
    apart = torch.cdist(places, places)
    nearest = (apart + torch.eye(len(apart)) * apart.max()).amin(1).median()
    order = list(range(len(places)))
    if apart.diagonal(1).median() > DETOUR * nearest:
        order = [int(apart.sum(1).argmax())]
        while len(order) < len(places):
            steps = apart[order[-1]].clone()
            steps[order] = torch.inf
            order.append(int(steps.argmin()))
    chosen = np.linspace(0, len(order) - 1, min(KEYS, len(order))).round().astype(int)
    return [order[i] for i in chosen]


def smooth_path(cameras: Cameras, frames: int) -> Cameras:
    """Cameras [1, frames] on a spline through cameras [1, V], V >= 2, in their order.

    Positions follow a cubic spline and rotations a rotation spline with continuous angular acceleration, both
    parametrised by the distance between cameras. Intrinsics are the mean of the inputs.
    """
    c2w = cameras.c2w[0].double().cpu().numpy()
    steps = np.linalg.norm(np.diff(c2w[:, :3, 3], axis=0), axis=1)
    # give cameras that only rotate some time
    steps = np.maximum(steps, max(steps.mean(), 1e-6) / 4)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0, times[-1], frames)
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, :3, 3] = CubicSpline(times, c2w[:, :3, 3])(at)
    path[:, :3, :3] = RotationSpline(times, Rotation.from_matrix(c2w[:, :3, :3]))(at).as_matrix()
    fxfycxcy = cameras.fxfycxcy.mean(1, keepdim=True).expand(-1, frames, -1)
    poses = torch.from_numpy(path)[None].to(cameras.c2w)
    return Cameras.from_fxfycxcy(fxfycxcy, poses, cameras.height, cameras.width)


@torch.no_grad()
def render_video(gaussians: Gaussians, path: Cameras, *files: Path) -> None:
    """Render a camera path to files, .webm or .mp4. Raises IlrmError."""
    count = path.c2w.shape[1]
    shown = progress_bar(range(count), desc="video", unit="frame", leave=False)
    images = (render(gaussians, path[:, i : i + 1]).images[0, 0] for i in shown)
    write_video(images, (path.height, path.width), *files)


def write_video(images: Iterable[Tensor], size: tuple[int, int], *files: Path) -> None:
    """Write images [3, H, W] in [0, 1] to video files at 24 frames per second. Raises IlrmError."""
    height, width = size
    with ExitStack() as stack:
        writers = []
        for file in files:
            temporary = stack.enter_context(atomic_path(file))
            named = stack.enter_context(readable_by_libraries(temporary))
            codec = cv2.VideoWriter.fourcc(*CODECS[file.suffix])
            with _without_stderr():  # WebM has no codec tags, which FFmpeg would report
                writer = cv2.VideoWriter(str(named), codec, FRAMES_PER_SECOND, (width, height))
            if not writer.isOpened():
                raise IlrmError(
                    f"{file}: this OpenCV cannot write {CODECS[file.suffix]}: install "
                    "opencv-python-headless"
                )
            writers.append(writer)
        for image in images:
            frame = _bgr(image)
            for writer in writers:
                writer.write(frame)
        for writer in writers:
            writer.release()


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Suppress what a library writes to standard error itself."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _bgr(image: Float[Tensor, "3 H W"]) -> np.ndarray:
    array = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(array[..., ::-1])
