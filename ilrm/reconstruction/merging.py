"""A whole capture from several local reconstructions, in the capture's world coordinates.

Where parts overlap, each of them contains the same surfaces. A Gaussian is therefore kept only if no other
part sees its position from closer by, since that part represents the surface better.
"""

from collections.abc import Sequence
from dataclasses import fields
from itertools import chain

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ilrm.data.framing import Framing
from ilrm.data.scene import Scene
from ilrm.gaussians import Gaussians
from ilrm.reconstruction.predict import Reconstruction, chosen_batch, reconstruct
from ilrm.reconstruction.view_choice import Chosen
from ilrm.rendering import render
from ilrm.system.progress import progress_bar
from ilrm.weights.state import Weights

FIELDS = [field.name for field in fields(Gaussians)]
BEHIND = 1.1  # a point deeper than this multiple of the rendered depth is hidden from the view


def reconstruct_parts(
    scene: Scene,
    weights: Weights,
    parts: Sequence[Chosen],
    framing: Framing,
    refinement_steps: int = 0,
) -> Reconstruction:
    """Reconstruct every part and merge them, in the coordinates of all input views together.

    Raises whatever `reconstruct` raises.
    """
    shown = progress_bar(parts, desc="reconstruct", unit="part", disable=len(parts) < 2)
    done = [reconstruct(scene, weights, part, framing, refinement_steps) for part in shown]
    inputs, targets, frames = (
        sorted(set(chain.from_iterable(getattr(part, name) for part in parts)))
        for name in ("inputs", "targets", "frames")
    )
    about = f"{len(parts)} parts with {len(inputs)} input views, {len(targets)} frames held out"
    whole = Chosen(inputs, targets, frames, about)
    batch = chosen_batch(scene, weights, whole, framing)
    merged = in_precision(merge(done).to_scene(batch.normalization), torch.float32)
    return Reconstruction(scene, inputs, targets, frames, batch, merged, len(parts))


@torch.no_grad()
def merge(parts: Sequence[Reconstruction]) -> Gaussians:
    """All parts' Gaussians in world coordinates, without those that another part sees from closer by.

    In double precision, as the origin of the world may be far away.
    """
    worlds = [
        in_precision(part.gaussians, torch.float64).to_world(part.batch.normalization)
        for part in parts
    ]
    rendered = [_rendered_depths(part) for part in parts]
    kept = []
    for own, gaussians in enumerate(worlds):
        distances = [
            _distances(gaussians.means[0], part, depths)
            for part, depths in zip(parts, rendered, strict=True)
        ]
        seen, in_view = (torch.stack(kind) for kind in zip(*distances, strict=True))  # [parts, G]
        # hidden in every part: it belongs to the nearest part that has it in view
        hidden = seen.isinf().all(0)
        owner = torch.where(hidden, in_view.argmin(0), seen.argmin(0))
        kept.append(_selected(gaussians, owner == own))
    return Gaussians(*(torch.cat([getattr(g, name) for g in kept], 1) for name in FIELDS))


def in_precision(gaussians: Gaussians, dtype: torch.dtype) -> Gaussians:
    """The same Gaussians in another floating-point type."""
    return Gaussians(*(getattr(gaussians, name).to(dtype) for name in FIELDS))


def _rendered_depths(part: Reconstruction) -> Float[Tensor, "V H W"]:
    """Depth of a part rendered in its input views, in world units; 0 where nothing is rendered."""
    cameras = part.batch.inputs.cameras.to(part.gaussians.means.device)
    depths = render(part.gaussians, cameras, depth=True).depths
    assert depths is not None
    return depths[0, :, 0] / part.batch.normalization.scale.to(depths)


def _distances(
    points: Float[Tensor, "G 3"], part: Reconstruction, rendered: Float[Tensor, "V H W"]
) -> tuple[Float[Tensor, " G"], Float[Tensor, " G"]]:
    """Distances of points to the nearest input camera of a part that sees them, and to the nearest one that
    has them in view, hidden or not; inf where there is none.
    """
    cameras = part.batch.inputs.cameras[0]
    c2w = part.scene.c2w[list(part.inputs)].to(points)
    w2c = torch.linalg.inv(c2w)
    local = points @ w2c[:, :3, :3].mT + w2c[:, None, :3, 3]  # [V, G, 3]
    z = local[..., 2]
    focal, centre = cameras.fxfycxcy.to(points)[:, None].split(2, -1)
    pixels = (local[..., :2] / z.clamp(min=1e-9)[..., None] * focal + centre).floor().long()
    column, row = pixels[..., 0], pixels[..., 1]
    inside = (column >= 0) & (column < cameras.width) & (row >= 0) & (row < cameras.height)
    view = torch.arange(len(c2w), device=points.device)[:, None]
    surface = rendered[view, row.clamp(0, cameras.height - 1), column.clamp(0, cameras.width - 1)]
    in_view: Bool[Tensor, "V G"] = (z > 0) & inside
    seen = in_view & (z <= BEHIND * surface)
    distances = (points - c2w[:, None, :3, 3]).norm(dim=-1)
    nearest = [torch.where(kind, distances, torch.inf).amin(0) for kind in (seen, in_view)]
    return nearest[0], nearest[1]


def _selected(gaussians: Gaussians, chosen: Bool[Tensor, " G"]) -> Gaussians:
    return Gaussians(*(getattr(gaussians, name)[:, chosen] for name in FIELDS))
