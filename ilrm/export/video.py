"""Video of a smooth flight along the input cameras."""

from collections.abc import Iterable
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
from ilrm.system.files import atomic_path
from ilrm.system.progress import progress_bar

FRAMES_PER_SECOND = 24


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
def render_video(gaussians: Gaussians, path: Cameras, file: Path) -> None:
    """Render a camera path to an MP4 file (VP9, which browsers can play). Raises IlrmError."""
    count = path.c2w.shape[1]
    shown = progress_bar(range(count), desc="video", unit="frame", leave=False)
    images = (render(gaussians, path[:, i : i + 1]).images[0, 0] for i in shown)
    write_video(images, file, (path.height, path.width))


def write_video(images: Iterable[Tensor], file: Path, size: tuple[int, int]) -> None:
    """Write images [3, H, W] in [0, 1] to an MP4 file (VP9) at 24 frames per second. Raises IlrmError."""
    height, width = size
    with atomic_path(file) as temporary:
        writer = cv2.VideoWriter(
            str(temporary), cv2.VideoWriter.fourcc(*"vp09"), FRAMES_PER_SECOND, (width, height)
        )
        if not writer.isOpened():
            raise IlrmError(
                f"{file}: this OpenCV cannot write VP9 in MP4: install opencv-python-headless"
            )
        for image in images:
            writer.write(_bgr(image))
        writer.release()


def _bgr(image: Float[Tensor, "3 H W"]) -> np.ndarray:
    array = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(array[..., ::-1])
