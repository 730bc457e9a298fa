"""Trivial baselines: what a model has to beat to have learned anything."""

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.views import Batch


def nearest_view(batch: Batch) -> Float[Tensor, "B T 3 H W"]:
    """Trivial baseline: for each target the input image whose camera stands nearest."""
    positions = batch.inputs.cameras.c2w[..., :3, 3]  # [B, V, 3]
    wanted = batch.targets.cameras.c2w[..., :3, 3]  # [B, T, 3]
    nearest = torch.cdist(wanted, positions).argmin(-1)  # [B, T]
    scenes = torch.arange(len(nearest), device=nearest.device)[:, None]
    return batch.inputs.images[scenes, nearest]


def mean_colour(batch: Batch) -> Float[Tensor, "B T 3 H W"]:
    """Trivial baseline: the mean colour of the input images."""
    mean = batch.inputs.images.mean((1, 3, 4))[:, None, :, None, None]  # [B, 1, 3, 1, 1]
    return mean.expand_as(batch.targets.images)


BASELINES = {"nearest_view": nearest_view, "mean_colour": mean_colour}
