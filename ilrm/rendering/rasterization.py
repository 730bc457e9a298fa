"""Gaussian rasterization with the signature of gsplat 1.5.3: gsplat on CUDA, Numba on the CPU.

Source: Kerbl et al., 3D Gaussian Splatting (2023); Ye et al., gsplat (2024).
"""

import math
from typing import Any

import torch
from torch import Tensor

from ilrm.errors import NonFiniteError, RasterizationError
from ilrm.rendering.checks import check_finite, check_inputs
from ilrm.rendering.cpu import rasterizer as cpu
from ilrm.rendering.cpu.projection import CONIC_XX, CONIC_YY, MEAN_X, MEAN_Y, OPACITY

ALPHA_MAX = 0.999  # the clamp of gsplat 1.5.3
# gsplat options that the CPU backend only accepts at their default values.
DEFAULTS: dict[str, Any] = {
    "sparse_grad": False,
    "absgrad": False,
    "channel_chunk": 32,  # the CPU backend renders any number of channels in one pass
    "distributed": False,
    "camera_model": "pinhole",
    "segmented": False,
    "covars": None,
    "with_ut": False,
    "with_eval3d": False,
    "radial_coeffs": None,
    "tangential_coeffs": None,
    "thin_prism_coeffs": None,
    "ftheta_coeffs": None,
    "viewmats_rs": None,
}


def rasterization(
    means: Tensor,  # [..., N, 3] world
    quats: Tensor,  # [..., N, 4] wxyz, not necessarily normalised
    scales: Tensor,  # [..., N, 3] standard deviations, world units
    opacities: Tensor,  # [..., N] in [0, 1]
    colors: Tensor,  # [..., (C,) N, D] or, with sh_degree, [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4] world to camera, OpenCV
    Ks: Tensor,  # [..., C, 3, 3] pixels  # noqa: N803
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    alpha_max: float = ALPHA_MAX,
    means2d_grad: bool = False,
    **options: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render N Gaussians into C images, for each leading batch index.

    Args:
        near_plane, far_plane: Gaussians with a depth outside this range are dropped.
        radius_clip: Gaussians with at most this radius, in pixels, are dropped.
        eps2d: Added to the projected variances, in pixels squared.
        sh_degree: Degree of the harmonics to use (0 to 3): colour = max(0, 0.5 + sum). None: plain colours.
        packed: Layout of `meta`: [nnz, ...] with batch, camera and Gaussian ids, or [..., C, N, ...].
        tile_size: Tile size of gsplat in pixels. The CPU backend has its own tile size and only reports this.
        render_mode: "RGB"; "D", depth weighted by alpha; "ED", expected depth, D / alpha; or a combination.
        rasterize_mode: "antialiased" lowers the opacity to compensate for the variance that eps2d adds.
        alpha_max: Clamp of a Gaussian's alpha, which is fixed in gsplat.
        means2d_grad: Store the gradients of the projected means, in pixels, in meta["means2d"].grad on
            backward(), for density control (with packed=False). Always the case on CUDA.
        options: Further options of gsplat; on the CPU, only their default values.

    Returns:
        Colours [..., C, H, W, X] with X = D, 1 or D + 1 (depth last), alphas [..., C, H, W, 1], and
        `meta`: radii, means2d, depths, conics, opacities, sizes. On the CPU, `meta` carries no gradients, and
        Gaussians that are not visible have radius 0 and otherwise undefined entries.

    Raises:
        RasterizationError: a wrong shape, type or value, including NonFiniteError.
        RasterizationError: an option that the backend does not support.
        RasterizationError: on the CPU, cameras that require gradients.
    """
    unknown = sorted(set(options) - {*DEFAULTS, "rolling_shutter"})
    if unknown:
        raise TypeError(f"rasterization() got unexpected options {unknown}")
    if means.is_cuda:
        if alpha_max != ALPHA_MAX:
            raise RasterizationError(f"gsplat clamps alpha at {ALPHA_MAX}: leave out alpha_max")
        from gsplat import rasterization as gsplat_rasterization  # loads CUDA code

        return gsplat_rasterization(
            means, quats, scales, opacities, colors, viewmats, Ks, width, height,
            near_plane=near_plane, far_plane=far_plane, radius_clip=radius_clip, eps2d=eps2d,
            sh_degree=sh_degree, packed=packed, tile_size=tile_size, backgrounds=backgrounds,
            render_mode=render_mode, rasterize_mode=rasterize_mode, **options,
        )  # fmt: skip

    changed = sorted(k for k, v in options.items() if k not in DEFAULTS or v != DEFAULTS[k])
    if changed:
        raise RasterizationError(
            f"the CPU backend does not support {changed}: leave them out, or move the tensors to CUDA"
        )
    check_inputs(
        means, quats, scales, opacities, colors, viewmats, Ks, backgrounds,
        sh_degree, render_mode, rasterize_mode, width, height,
    )  # fmt: skip
    if torch.is_grad_enabled() and (viewmats.requires_grad or Ks.requires_grad):
        raise RasterizationError(
            "the CPU backend does not differentiate viewmats and Ks: detach() them, or use CUDA"
        )
    return _rasterize_on_cpu(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, backgrounds,
        sh_degree, render_mode, packed, tile_size, means2d_grad,
        cpu.Settings(
            width, height, float(near_plane), float(far_plane), float(radius_clip), float(eps2d),
            degree=-1 if sh_degree is None else sh_degree,
            with_color=render_mode.startswith("RGB"),
            with_depth=render_mode != "RGB",
            antialiased=rasterize_mode == "antialiased",
            alpha_max=alpha_max,
        ),
    )  # fmt: skip


def _rasterize_on_cpu(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, backgrounds,  # noqa: N803
    sh_degree, render_mode, packed, tile_size, means2d_grad, settings,
) -> tuple[Tensor, Tensor, dict[str, Any]]:  # fmt: skip
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    flat = math.prod(batch)
    per_camera = colors.dim() - (1 if sh_degree is None else 2) > means.dim() - 1
    bases, last = (1, colors.shape[-1]) if sh_degree is None else colors.shape[-2:]
    channels = last * settings.with_color + settings.with_depth
    background = means.new_zeros(flat * cameras, channels)
    if backgrounds is not None and settings.with_color:
        color_background = backgrounds.reshape(flat * cameras, last)
        depth_background = background[:, : settings.with_depth]
        background = torch.cat([color_background, depth_background], -1)

    screen = None
    if means2d_grad:
        screen = means.new_zeros(*batch, cameras, count, 2, requires_grad=True)
    try:
        image, alpha, splats, depths, radii = cpu.rasterize(
            means.reshape(flat, count, 3),
            quats.reshape(flat, count, 4),
            scales.reshape(flat, count, 3),
            opacities.reshape(flat, count),
            colors.reshape(flat, cameras if per_camera else 1, count, bases, last),
            background,
            viewmats.reshape(flat, cameras, 4, 4),
            Ks.reshape(flat, cameras, 3, 3),
            settings,
            None if screen is None else screen.reshape(flat * cameras, count, 2),
        )
    except NonFiniteError:
        check_finite(means=means, quats=quats, scales=scales, opacities=opacities, colors=colors)
        raise
    alpha = alpha[..., None]
    if render_mode in ("ED", "RGB+ED"):
        depth = image[..., -1:] / alpha.clamp(min=1e-10)
        image = torch.cat([image[..., :-1], depth], -1)
    meta = _meta(splats, depths, radii, cameras, packed, batch)
    if screen is not None:
        screen.data.copy_(splats[..., MEAN_X : MEAN_Y + 1].reshape(screen.shape))
        meta["means2d"] = screen
    meta.update(
        width=width,
        height=height,
        tile_size=tile_size,
        tile_width=math.ceil(width / tile_size),
        tile_height=math.ceil(height / tile_size),
        n_batches=flat,
        n_cameras=cameras,
    )
    shape = (*batch, cameras, height, width)
    return image.reshape(*shape, channels), alpha.reshape(*shape, 1), meta


def _meta(
    splats: Tensor,  # [B * C, N, ...]
    depths: Tensor,  # [B * C, N]
    radii: Tensor,  # [B * C, N, 2]
    cameras: int,
    packed: bool,
    batch: torch.Size,
) -> dict[str, Any]:
    values = {
        "radii": radii,
        "means2d": splats[..., MEAN_X : MEAN_Y + 1],
        "depths": depths,
        "conics": splats[..., CONIC_XX : CONIC_YY + 1],
        "opacities": splats[..., OPACITY],
    }
    if not packed:
        none = {"batch_ids": None, "camera_ids": None, "gaussian_ids": None}
        return none | {k: v.unflatten(0, (*batch, cameras)) for k, v in values.items()}
    images, gaussians = (radii[..., 0] > 0).nonzero(as_tuple=True)
    ids = {
        "batch_ids": images // cameras,
        "camera_ids": images % cameras,
        "gaussian_ids": gaussians,
    }
    return ids | {k: v[images, gaussians] for k, v in values.items()}
