"""Correspondences in self-attention: on scenes with ground-truth depth, measures per layer how far the most
attended tokens of other views are from the projection of the same surface point.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.errors import DataError
from ilrm.evaluation.attention import self_attention, top_tokens
from ilrm.model import ILRM
from ilrm.views import EvaluationScene

OCCLUDED = 0.05  # relative depth difference from which a point counts as occluded in the other view
NEAR = 1.5  # in tokens: the correct token or one of its neighbours


@dataclass(frozen=True)
class Correspondences:
    """Projections of the surface points at the centres of the first view's N tokens into the V - 1 others."""

    places: Float[Tensor, "N W 2"]  # x, y in tokens of the other view, token centres at +0.5
    visible: Bool[Tensor, "N W"]  # inside the other view and not occluded


def true_correspondences(
    cameras: Cameras,  # [V]
    depths: Float[Tensor, "V H W"],  # z, in the unit of the camera positions
    side: int,  # pixels per token side (`ModelConfig.size_multiple`)
) -> Correspondences:
    """Compute correspondences from ground-truth depth and poses."""
    height, width = depths.shape[-2:]
    rows = torch.arange(height // side, device=depths.device) * side + side // 2
    columns = torch.arange(width // side, device=depths.device) * side + side // 2
    row, column = (x.flatten() for x in torch.meshgrid(rows, columns, indexing="ij"))  # [N]
    pixels = torch.stack([column + 0.5, row + 0.5, torch.ones_like(row)], -1)  # [N, 3]
    rays = pixels @ torch.linalg.inv(cameras.K[0]).T
    local = rays * depths[0, row, column, None]  # z is 1 in `rays`
    world = local @ cameras.c2w[0, :3, :3].T + cameras.c2w[0, :3, 3]

    rotation, origin = cameras.w2c[1:, :3, :3], cameras.w2c[1:, :3, 3]  # [V - 1, 3, 3], [V - 1, 3]
    in_other = torch.einsum("vij,nj->nvi", rotation, world) + origin  # [N, V - 1, 3]
    z = in_other[..., 2].clamp(min=1e-6)
    projected = torch.einsum("vij,nvj->nvi", cameras.K[1:], in_other / z[..., None])[..., :2]
    x, y = projected.floor().long().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (in_other[..., 2] > 0)
    view = torch.arange(1, len(depths), device=depths.device).expand_as(x)
    surface = depths[view, y.clamp(0, height - 1), x.clamp(0, width - 1)]
    # offset, in pixels, from the centre of a token to the centre of the pixel that represents it
    offset = side // 2 + 0.5 - side / 2
    return Correspondences(
        (projected - offset) / side, inside & ((z - surface).abs() < OCCLUDED * surface)
    )


def attention_errors(
    attention: Float[Tensor, "layers N V N"], correspondences: Correspondences, columns: int
) -> pd.DataFrame:
    """One row per layer, means over visible points and other views.

    Columns: layer, distance (in tokens, from the most attended token of the other view to the true position),
    near (share of distances below 1.5 tokens), and random_distance and random_near (both for a random token).
    `attention`: from the first view's tokens (`self_attention`). `columns`: tokens per row of a view.
    """
    count = attention.shape[1]
    number = torch.arange(count, device=attention.device)
    centres = torch.stack([number % columns + 0.5, number // columns + 0.5], -1)  # [N, 2]
    distances = (correspondences.places[:, :, None] - centres).norm(dim=-1)  # [N, V - 1, N]
    visible = correspondences.visible
    rows: list[dict[str, Any]] = []
    for layer, weights in enumerate(attention, 1):
        top = top_tokens(weights[:, 1:], 1)  # [N, V - 1, 1]
        distance = distances.gather(-1, top)[..., 0][visible]
        rows.append(
            {
                "layer": layer,
                "distance": float(distance.mean()),
                "near": float((distance < NEAR).float().mean()),
                "random_distance": float(distances[visible].mean()),
                "random_near": float((distances[visible] < NEAR).float().mean()),
            }
        )
    return pd.DataFrame(rows)


def correspondence_errors(model: ILRM, scenes: Iterable[EvaluationScene]) -> pd.DataFrame:
    """`attention_errors` of every scene with ground-truth depth, with the scene key in a column `scene`.

    Scenes without any visible correspondence are left out. Raises DataError if no scene has depth.
    """
    side = model.config.size_multiple
    device = next(model.parameters()).device
    tables = []
    for scene in scenes:
        if scene.batch.input_depths is None:
            continue
        batch = scene.batch.to(device)
        inputs = batch.inputs
        assert batch.input_depths is not None
        correspondences = true_correspondences(inputs.cameras[0], batch.input_depths[0], side)
        rows, columns = (length // side for length in inputs.images.shape[-2:])
        if correspondences.visible.any():
            attention = self_attention(model, inputs, range(rows * columns))
            errors = attention_errors(attention, correspondences, columns)
            tables.append(errors.assign(scene=scene.key))
    if not tables:
        raise DataError("no scene has ground-truth depth: use procedural scenes")
    return pd.concat(tables, ignore_index=True)
