"""Validation of the rasterizer's inputs."""

import torch
from torch import Tensor

from ilrm.errors import NonFiniteError, RasterizationError

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RASTERIZE_MODES = ("classic", "antialiased")
MAX_DEGREE = 3


def check_inputs(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., (C,) N, D] or [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]  # noqa: N803
    backgrounds: Tensor | None,  # [..., C, D]
    sh_degree: int | None,
    render_mode: str,
    rasterize_mode: str,
    width: int,
    height: int,
) -> None:
    """Raise RasterizationError unless all inputs are consistent and the cameras are finite."""
    if render_mode not in RENDER_MODES:
        raise RasterizationError(f"render_mode {render_mode!r}: use one of {RENDER_MODES}")
    if rasterize_mode not in RASTERIZE_MODES:
        raise RasterizationError(f"rasterize_mode {rasterize_mode!r}: use one of {RASTERIZE_MODES}")
    if width < 1 or height < 1:
        raise RasterizationError(f"image of {width} x {height}: width and height must be positive")
    tensors = {
        "means": means, "quats": quats, "scales": scales, "opacities": opacities,
        "colors": colors, "viewmats": viewmats, "Ks": Ks, "backgrounds": backgrounds,
    }  # fmt: skip
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.dtype != torch.float32:
            raise RasterizationError(f"{name} is {tensor.dtype}: call .float() on it")
        if tensor.device != means.device:
            raise RasterizationError(
                f"{name} is on {tensor.device} but means on {means.device}: move both to one device"
            )
    if means.dim() < 2 or viewmats.dim() < 3:
        raise RasterizationError(
            f"means {list(means.shape)} and viewmats {list(viewmats.shape)}: "
            "need [..., N, 3] and [..., C, 4, 4]"
        )
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    expected = {
        "means": (*batch, count, 3),
        "quats": (*batch, count, 4),
        "scales": (*batch, count, 3),
        "opacities": (*batch, count),
        "viewmats": (*batch, cameras, 4, 4),
        "Ks": (*batch, cameras, 3, 3),
    }
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor is not None and tensor.shape != shape:
            raise RasterizationError(
                f"{name} has shape {list(tensor.shape)}, expected {list(shape)} to match means "
                f"{list(means.shape)} and {cameras} cameras"
            )
    _check_colors(colors, (*batch, count), (*batch, cameras, count), sh_degree)
    check_finite(viewmats=viewmats, Ks=Ks)
    if backgrounds is not None:
        channels = 3 if sh_degree is not None else colors.shape[-1]
        if backgrounds.shape != (*batch, cameras, channels):
            raise RasterizationError(
                f"backgrounds has shape {list(backgrounds.shape)}, expected "
                f"{[*batch, cameras, channels]}: give one colour per camera"
            )


def _check_colors(
    colors: Tensor, shared: tuple[int, ...], per_camera: tuple[int, ...], sh_degree: int | None
) -> None:
    own = 1 if sh_degree is None else 2  # dimensions after N
    if colors.shape[:-own] not in (shared, per_camera) or (
        sh_degree is not None and colors.shape[-1] != 3
    ):
        layout = "[..., (C,) N, D]" if sh_degree is None else "[..., (C,) N, K, 3]"
        raise RasterizationError(
            f"colors has shape {list(colors.shape)}, expected {layout} with leading sizes "
            f"{list(shared)} or {list(per_camera)}; give sh_degree only with spherical harmonics"
        )
    if sh_degree is not None and not 0 <= sh_degree <= MAX_DEGREE:
        raise RasterizationError(f"sh_degree {sh_degree}: use a degree from 0 to {MAX_DEGREE}")
    if sh_degree is not None and colors.shape[-2] < (sh_degree + 1) ** 2:
        raise RasterizationError(
            f"sh_degree {sh_degree} needs {(sh_degree + 1) ** 2} coefficients, colors "
            f"{list(colors.shape)} has {colors.shape[-2]}: lower sh_degree"
        )


def check_finite(**tensors: Tensor | None) -> None:
    """Raise NonFiniteError with the first tensor and index that is NaN or infinite."""
    for name, tensor in tensors.items():
        if tensor is not None and not tensor.isfinite().all():
            index = (~tensor.isfinite()).nonzero()[0].tolist()
            raise NonFiniteError(
                f"{name}{index} is {tensor[tuple(index)].item()}: give finite values; in training, lower the "
                "learning rate or clamp the activation"
            )
