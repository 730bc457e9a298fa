"""Noise on the input cameras' positions, in pixels (Table 14).

The paper gives the noise in scene units, whose effect depends on image size, focal length and depth. In
pixels, it is the shift of a point at the scene's median depth in the image.
"""

import zlib
from dataclasses import replace

import torch

from ilrm.cameras import jitter_positions
from ilrm.planes import inverse_depths, plane_errors
from ilrm.views import Batch, EvaluationScene


def with_inaccurate_poses(scene: EvaluationScene, pixels: float) -> Batch:
    """The scene's batch with noise on the input positions, seeded by the scene's key; targets do not change.

    `pixels`: standard deviation of the shift along each axis, at the median depth and the mean focal length.
    """
    batch = scene.batch
    cameras = batch.inputs.cameras
    focal = float(cameras.fxfycxcy[..., :2].mean())  # pixels
    generator = torch.Generator().manual_seed(zlib.crc32(scene.key.encode()))
    noisy = jitter_positions(cameras, pixels * median_depth(scene) / focal, generator)
    return replace(batch, inputs=replace(batch.inputs, cameras=noisy))


def median_depth(scene: EvaluationScene) -> float:
    """Median of the targets' true depth where it is known, else the depth of the plane on which the input
    views predict each other best; in scene units.
    """
    if scene.depths is not None:
        return float(scene.depths.median())
    return float(1 / inverse_depths()[plane_errors(scene.batch.inputs).argmin()])
