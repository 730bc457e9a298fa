"""The CPU backend: Numba kernels wrapped in a `torch.autograd.Function`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ilrm.errors import NonFiniteError
from ilrm.rendering.cpu import compositing as cpu_compositing
from ilrm.rendering.cpu import projection as cpu_projection
from ilrm.rendering.cpu import sorting as cpu_sorting
from ilrm.rendering.cpu.threads import run_chunks


@dataclass(frozen=True)
class Settings:
    """Rendering options."""

    width: int  # pixels
    height: int
    near: float  # Gaussians with a depth outside [near, far] are dropped
    far: float
    radius_clip: float  # pixels
    eps2d: float  # pixels squared
    degree: int  # of the harmonics; -1: plain colours
    with_color: bool
    with_depth: bool  # as the last channel
    antialiased: bool
    alpha_max: float


def rasterize(
    means: Tensor,  # [B, N, 3]
    quats: Tensor,  # [B, N, 4]
    scales: Tensor,  # [B, N, 3]
    opacities: Tensor,  # [B, N]
    colors: Tensor,  # [B, C or 1, N, K, 3] harmonics, or [B, C or 1, N, 1, D]
    backgrounds: Tensor,  # [B * C, channels]
    viewmats: Tensor,  # [B, C, 4, 4]
    Ks: Tensor,  # [B, C, 3, 3]  # noqa: N803
    settings: Settings,
    screen: Tensor | None = None,  # [I, N, 2], receives the gradients of the projected means
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Render I = B * C images of all channels, with depth as the last channel.

    Returns image [I, H, W, channels] and alpha [I, H, W], and, without gradients, splats
    [I, N, 8 + channels] (see `cpu_projection`), depths [I, N] and radii [I, N, 2] in pixels. Raises
    NonFiniteError.
    """
    return _Rasterize.apply(  # type: ignore[no-untyped-call]
        means, quats, scales, opacities, colors, backgrounds, viewmats, Ks, settings, screen
    )


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        means,
        quats,
        scales,
        opacities,
        colors,
        backgrounds,
        viewmats,
        Ks,  # noqa: N803
        settings,
        screen,
    ):
        gaussians = (means, quats, scales, opacities, colors)
        inputs = [_array(t) for t in (*gaussians, viewmats, Ks)]
        batch, count = means.shape[:2]
        images, channels = backgrounds.shape
        width, height = settings.width, settings.height
        modes = (
            width, height, settings.eps2d, settings.degree,
            settings.with_color, settings.with_depth, settings.antialiased,
        )  # fmt: skip
        splats = np.empty((images, count, cpu_projection.SPLAT_SIZE + channels), np.float32)
        depths = np.empty((images, count), np.float32)
        radii = np.empty((images, count, 2), np.int32)
        failed = run_chunks(
            cpu_projection.project, batch * count, *inputs, *modes,
            settings.near, settings.far, settings.radius_clip, splats, depths, radii,
        )  # fmt: skip
        if max(failed, default=-1) >= 0:
            raise NonFiniteError("a Gaussian is not finite or overflows float32: clamp its values")

        tiles_x, tiles_y = -(-width // cpu_sorting.TILE), -(-height // cpu_sorting.TILE)
        tile_start, tile_splats, tile_pieces, first_piece = _sort_into_tiles(
            splats, depths, radii, tiles_x, tiles_y
        )
        image = torch.empty(images, height, width, channels)
        transmittance = torch.empty(images, height, width)
        finished = np.empty((images, height, width), np.float32)
        frame = (_array(backgrounds), tiles_x, tiles_y, np.float32(settings.alpha_max))
        run_chunks(
            cpu_compositing.composite, images * tiles_x * tiles_y, splats, tile_start, tile_splats,
            *frame, image.numpy(), transmittance.numpy(), finished,
        )  # fmt: skip

        ctx.save_for_backward(*gaussians, backgrounds)
        ctx.project = (inputs, modes, first_piece)
        ctx.composite = (
            splats, tile_start, tile_splats, tile_pieces, *frame, transmittance.numpy(), finished
        )  # fmt: skip
        byproducts = [torch.from_numpy(a) for a in (splats, depths, radii)]
        ctx.mark_non_differentiable(*byproducts)
        return image, 1.0 - transmittance, *byproducts

    @staticmethod
    @once_differentiable
    def backward(ctx, v_image, v_alpha, *_):
        *gaussians, _ = ctx.saved_tensors  # raises if a tensor was modified in place
        inputs, modes, first_piece = ctx.project
        splats, tile_start, tile_splats, *_, transmittance, _ = ctx.composite
        v_image, v_alpha = _array(v_image), _array(v_alpha)
        size = cpu_projection.GRADIENT_SIZE + v_image.shape[-1]
        pieces = np.empty((len(tile_splats), size), np.float32)
        run_chunks(
            cpu_compositing.composite_backward, len(tile_start) - 1, *ctx.composite,
            v_image, v_alpha, pieces,
        )  # fmt: skip
        gradients = [torch.zeros(t.shape) for t in gaussians]
        run_chunks(
            cpu_projection.project_backward, gaussians[3].numel(), *inputs, *modes,
            splats, pieces, first_piece, *(g.numpy() for g in gradients),
        )  # fmt: skip
        v_backgrounds = None
        if ctx.needs_input_grad[5]:
            v_backgrounds = torch.from_numpy((v_image * transmittance[..., None]).sum((1, 2)))
        v_screen = None
        if ctx.needs_input_grad[9]:
            v_screen = torch.from_numpy(_sums(pieces[:, :2], first_piece))
        return *gradients, v_backgrounds, None, None, None, v_screen


def _sums(pieces: np.ndarray, first_piece: np.ndarray) -> np.ndarray:
    """Sum the pieces [P, D] of each splat to [I, N, D]; `first_piece` [I, N + 1]."""
    total = np.zeros((len(pieces) + 1, pieces.shape[1]))
    np.cumsum(pieces, axis=0, dtype=np.float64, out=total[1:])
    return (total[first_piece[:, 1:]] - total[first_piece[:, :-1]]).astype(np.float32)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _sort_into_tiles(
    splats: np.ndarray,  # [I, N, 8 + D]
    depths: np.ndarray,  # [I, N]
    radii: np.ndarray,  # [I, N, 2]
    tiles_x: int,
    tiles_y: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return tile_start [I * T + 1], tile_splats [P], tile_pieces [P] and first_piece [I, N + 1].

    See `cpu_sorting` for the two orders of pieces.
    """
    images, count = depths.shape
    order = np.empty((images, count), np.int32)
    visible = np.empty(images, np.int32)
    per_tile = np.empty((images, tiles_x * tiles_y), np.int32)
    first_piece = np.empty((images, count + 1), np.int64)
    run_chunks(
        cpu_sorting.count_pieces, images, splats, depths, radii, tiles_x, tiles_y,
        order, visible, per_tile, first_piece,
    )  # fmt: skip
    tile_start = np.zeros(per_tile.size + 1, np.int64)
    np.cumsum(per_tile, out=tile_start[1:])
    first_piece += tile_start[: -1 : tiles_x * tiles_y, None]  # from per-image to global numbers
    tile_splats = np.empty(tile_start[-1], np.int32)
    tile_pieces = np.empty(tile_start[-1], np.int64)
    run_chunks(
        cpu_sorting.fill_tiles, images, splats, radii, tiles_x, tiles_y, order, visible,
        tile_start, first_piece, tile_splats, tile_pieces,
    )  # fmt: skip
    return tile_start, tile_splats, tile_pieces, first_piece
