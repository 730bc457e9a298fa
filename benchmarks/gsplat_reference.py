"""gsplat's own PyTorch reference, `gsplat.rendering._rasterization`, made to run without CUDA.

The reference calls CUDA for four steps and the package nerfacc for two. `reference` puts plain
PyTorch in their place; projection, compositing and their gradients stay gsplat's.
"""

import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def reference(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Call `gsplat.rendering._rasterization`, on any device."""
    import gsplat.cuda._torch_impl as impl
    import gsplat.cuda._wrapper as wrapper
    import gsplat.rendering as rendering

    rendering.isect_tiles = _isect_tiles
    rendering.isect_offset_encode = impl._isect_offset_encode
    rendering.spherical_harmonics = lambda degree, dirs, coeffs, masks=None: (
        impl._spherical_harmonics(degree, dirs, coeffs)
    )
    wrapper.rasterize_to_indices_in_range = _rasterize_to_indices
    nerfacc: Any = ModuleType("nerfacc")
    nerfacc.render_weight_from_alpha = _weights
    nerfacc.accumulate_along_rays = _accumulate
    sys.modules["nerfacc"] = nerfacc
    return rendering._rasterization(*arguments, **options)


@torch.no_grad()
def _isect_tiles(
    means2d, radii, depths, tile_size, tile_width, tile_height, **_
) -> tuple[Tensor, Tensor, Tensor]:
    """(tiles per splat, sorted keys image | tile | depth, splat of each key)."""
    images = means2d.shape[:-2].numel()
    means2d, radii = means2d.reshape(-1, 2), radii.reshape(-1, 2)  # [I * N, 2]
    depths = depths.reshape(-1).contiguous()
    limit = torch.tensor([tile_width, tile_height])
    low = ((means2d - radii) / tile_size).floor().int().clamp(min=0).minimum(limit)
    high = ((means2d + radii) / tile_size).ceil().int().clamp(min=0).minimum(limit)
    size = (high - low) * (radii > 0).all(-1, keepdim=True)  # [I * N, 2] columns and rows
    counts = size.prod(-1)
    splat = torch.arange(len(counts)).repeat_interleave(counts)  # [P]
    rank = torch.arange(len(splat)) - (counts.cumsum(0) - counts)[splat]
    column = low[splat, 0] + rank % size[splat, 0]
    row = low[splat, 1] + rank // size[splat, 0]
    image = splat // (len(counts) // images)
    bits = (tile_width * tile_height).bit_length()
    key = (((image << bits) | (row * tile_width + column)) << 32) | depths.view(torch.int32)[splat]
    key, order = torch.sort(key, stable=True)
    return counts.int(), key, splat[order].int()


@torch.no_grad()
def _rasterize_to_indices(
    start, stop, transmittances, means2d, conics, opacities, width, height, tile_size,
    isect_offsets, flatten_ids,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(Gaussian, pixel, image) of each contribution, ordered by image, pixel and depth."""
    images, count = means2d.shape[:-2].numel(), means2d.shape[-2]
    rows, columns = isect_offsets.shape[-2:]
    bounds = [*isect_offsets.flatten().tolist(), len(flatten_ids)]
    block = tile_size * tile_size
    means2d, conics = means2d.reshape(-1, 2), conics.reshape(-1, 3)
    opacities = opacities.reshape(-1)
    transmittances = transmittances.reshape(images, height, width)
    hits = []
    for k in range(images * rows * columns):
        image, row, column = k // (rows * columns), k // columns % rows, k % columns
        first, last = bounds[k] + start * block, min(bounds[k] + stop * block, bounds[k + 1])
        if first >= last:
            continue
        splats = flatten_ids[first:last].long()  # [M]
        y = torch.arange(row * tile_size, min((row + 1) * tile_size, height))
        x = torch.arange(column * tile_size, min((column + 1) * tile_size, width))
        pixels = (y[:, None] * width + x).flatten()  # [P]
        dx = pixels[:, None] % width + 0.5 - means2d[splats, 0]  # [P, M]
        dy = pixels[:, None] // width + 0.5 - means2d[splats, 1]
        a, b, c = conics[splats].unbind(-1)
        sigma = 0.5 * (a * dx**2 + c * dy**2) + b * dx * dy
        alpha = (opacities[splats] * torch.exp(-sigma)).clamp(max=0.999)
        hit = (sigma >= 0) & (alpha >= 1 / 255)
        left = torch.where(hit, 1 - alpha, 1.0).cumprod(1)
        left = left * transmittances[image].flatten()[pixels, None]
        pixel, splat = (hit & (left > 1e-4)).nonzero(as_tuple=True)
        hits.append(torch.stack([splats[splat] % count, pixels[pixel], splat * 0 + image]))
    if not hits:
        return tuple(torch.zeros(3, 0, dtype=torch.long))
    gaussian, pixel, image = torch.cat(hits, 1)
    order = torch.argsort(image * width * height + pixel, stable=True)
    return gaussian[order], pixel[order], image[order]


def _weights(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    """Weights alpha * T and transmittances T of the samples, which are sorted by ray."""
    logs = torch.log1p(-alphas.double())
    before = logs.cumsum(0) - logs
    counts = torch.bincount(ray_indices, minlength=n_rays)
    starts = (counts.cumsum(0) - counts)[ray_indices]
    transmittance = torch.exp(before - before[starts]).float()
    return alphas * transmittance, transmittance


def _accumulate(
    weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
) -> Tensor:  # [n_rays, D]
    values = weights[:, None] if values is None else weights[:, None] * values
    return values.new_zeros(n_rays, values.shape[-1]).index_add(0, ray_indices, values)
