"""Trivial and classical baselines for a model's renders, and a ceiling.

None of them learns anything: a model that stays below the plane warp has not learned to reconstruct.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.planes import (
    blended,
    disagreement,
    inverse_depths,
    mean_of_views,
    nearest_views,
    on_planes,
    plane_errors,
    single,
)
from ilrm.views import Batch, EvaluationScene
from ilrm.warping import blend, look_up, nearness, unproject

VERSION = 2  # raise it whenever a baseline gives other images
PLANE_SCENES = 16  # scenes from which the data set's plane is chosen

TEMPERATURE = 0.1  # of the softmax over planes, as a share of a pixel's mean excess cost


def nearest_view(batch: Batch) -> Float[Tensor, "B T 3 H W"]:
    """For each target, the input image whose camera is nearest."""
    positions = batch.inputs.cameras.c2w[..., :3, 3]  # [B, V, 3]
    wanted = batch.targets.cameras.c2w[..., :3, 3]  # [B, T, 3]
    nearest = torch.cdist(wanted, positions).argmin(-1)  # [B, T]
    scenes = torch.arange(len(nearest), device=nearest.device)[:, None]
    return batch.inputs.images[scenes, nearest]


def mean_colour(batch: Batch) -> Float[Tensor, "B T 3 H W"]:
    """The mean colour of the input images."""
    mean = batch.inputs.images.mean((1, 3, 4))[:, None, :, None, None]  # [B, 1, 3, 1, 1]
    return mean.expand_as(batch.targets.images)


def half_resolution(batch: Batch) -> Float[Tensor, "B T 3 H W"]:
    """The targets at half resolution, enlarged bicubically: roughly what Gaussians of half-resolution
    viewpoints can render. This is a ceiling, not a competitor, as it uses the targets.
    """
    images = batch.targets.images.flatten(0, 1)
    size = images.shape[-2:]
    small = F.interpolate(images, scale_factor=0.5, mode="area")
    large = F.interpolate(small, size=size, mode="bicubic", align_corners=False)
    return large.clamp(0, 1).view_as(batch.targets.images)


@dataclass(frozen=True)
class Baselines:
    """The baselines of one data set."""

    plane: float  # inverse depth of the plane warp, in one over scene units

    @classmethod
    def of(cls, scenes: Iterable[EvaluationScene]) -> "Baselines":
        """Choose the plane warp's depth: that at which the input views of the first scenes predict each other
        best.

        Targets are not used.
        """
        errors = [plane_errors(s.batch.inputs) for s in islice(scenes, PLANE_SCENES)]
        best = torch.stack(errors).mean(0).argmin()
        return cls(float(inverse_depths()[int(best)]))

    def images(self, scene: EvaluationScene) -> Iterator[tuple[str, Float[Tensor, "1 T 3 H W"]]]:
        """Yield every baseline's name and its images of the scene's targets; the warp at true depth only if
        that is known.
        """
        batch = scene.batch
        yield "nearest_view", nearest_view(batch)
        yield "mean_colour", mean_colour(batch)
        yield "plane_warp", plane_warp(batch, self.plane)
        yield "plane_sweep", plane_sweep(batch)
        if scene.depths is not None and batch.input_depths is not None:
            yield "true_depth_warp", true_depth_warp(batch, scene.depths)
        yield "half_resolution", half_resolution(batch)


def plane_warp(batch: Batch, inverse_depth: float) -> Float[Tensor, "1 T 3 H W"]:
    """The input images on one plane in front of each target, blended by nearness."""
    images = []
    for target in _targets(batch):
        seen = nearest_views(batch.inputs, target)
        values, inside = on_planes(seen, target, torch.tensor([inverse_depth]))
        images.append(blended(seen, target, values, inside)[:, 0])
    return torch.stack(images)[None]


def plane_sweep(batch: Batch) -> Float[Tensor, "1 T 3 H W"]:
    """Plane-sweep stereo (Collins 1996): per pixel the planes' colours, weighted by how the views agree.

    A plane's cost at a pixel is the deviation of the views' colours in a window, and the plane's error in
    predicting the inputs from each other, which decides where texture is missing. Colours are averaged by a
    softmax over the planes: where the depth is uncertain, the blend is the better guess.
    """
    inverse = inverse_depths()
    prior = plane_errors(batch.inputs).sqrt()  # [P]
    images = []
    for target in _targets(batch):
        seen = nearest_views(batch.inputs, target)
        values, inside = on_planes(seen, target, inverse)
        cost = disagreement(values, inside) + prior[:, None, None]  # [P, h, w]
        excess = cost - cost.amin(0)
        weights = torch.softmax(-excess / (TEMPERATURE * excess.mean(0) + 1e-6), 0)
        images.append((blended(seen, target, values, inside) * weights).sum(1))
    return torch.stack(images)[None]


def true_depth_warp(
    batch: Batch, depths: Float[Tensor, "T H W"], tolerance: float = 0.1
) -> Float[Tensor, "1 T 3 H W"]:
    """The input images warped by the targets' true depth and blended by nearness.

    A view counts only where its own depth agrees within the share `tolerance`, so that hidden surfaces are
    left out. The baseline knows the geometry and nothing else.
    """
    inputs, images = single(batch.inputs), []
    assert batch.input_depths is not None
    own = batch.input_depths[0][:, None]  # [V, 1, H, W]
    for target, depth in zip(_targets(batch), depths, strict=True):
        points = unproject(target, depth[None].to(own))
        values, inside, z = look_up(*inputs, points)
        surface = look_up(own, inputs[1], points, mode="nearest")[0][:, 0]  # [V, 1, h, w]
        visible = inside * ((z - surface).abs() < tolerance * surface)[:, None]
        weights = nearness(inputs[1], target, softening=1e-3)
        images.append(blend(values, visible, weights, mean_of_views(inputs[0]))[:, 0])
    return torch.stack(images)[None]


def _targets(batch: Batch) -> list[Cameras]:
    (count,) = batch.targets.cameras.c2w.shape[1:2]
    return [batch.targets.cameras[0, i] for i in range(count)]
