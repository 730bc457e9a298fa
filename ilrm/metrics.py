"""Image metrics, one value per image: PSNR, SSIM, LPIPS (supplementary, evaluation)."""

import warnings
from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ilrm.errors import ViewsError
from ilrm.perceptual import trunk_weights

Images = Float[Tensor, "B 3 H W"]


def psnr(pred: Images, target: Images) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio in dB of images clipped to [0, 1]; capped at 100, for identical images."""
    _check(pred, target)
    error = (pred.clamp(0, 1) - target.clamp(0, 1)).square().mean((1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(pred: Images, target: Images) -> Float[Tensor, " B"]:
    """Structural similarity: Gaussian window of size 11, sigma 1.5, data range 1, mean over channels.

    Equals scikit-image's `structural_similarity(gaussian_weights=True, win_size=11)`, which uses sample
    variances and excludes a border of 5 pixels. Raises ViewsError on images smaller than the window.
    """
    _check(pred, target)
    if min(pred.shape[-2:]) < 11:
        raise ViewsError(f"SSIM needs images of at least 11x11 pixels, not {list(pred.shape[-2:])}")
    x = torch.arange(-5, 6, device=pred.device, dtype=pred.dtype)
    window = torch.exp(-(x**2) / (2 * 1.5**2))
    window = window / window.sum()

    def blur(image: Tensor) -> Tensor:  # [B * 3, 1, H, W] -> [B * 3, 1, H - 10, W - 10]
        with _full_precision():
            return F.conv2d(F.conv2d(image, window.view(1, 1, 11, 1)), window.view(1, 1, 1, 11))

    a, b = pred.flatten(0, 1)[:, None], target.flatten(0, 1)[:, None]
    mean_a, mean_b, aa, bb, ab = blur(torch.cat([a, b, a * a, b * b, a * b])).chunk(5)
    sample = 121 / 120  # scikit-image's sample correction, N / (N - 1)
    var_a, var_b = sample * (aa - mean_a**2), sample * (bb - mean_b**2)
    cov = sample * (ab - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    value = value / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return value.mean((1, 2, 3)).view(pred.shape[0], 3).mean(1)


@torch.no_grad()
def lpips(pred: Images, target: Images, net: Literal["vgg", "alex"] = "vgg") -> Float[Tensor, " B"]:
    """Learned perceptual distance, LPIPS version 0.1. Raises WeightsError if its weights are missing."""
    _check(pred, target)
    model = lpips_model(net).to(pred.device)
    with _full_precision():
        return model(pred.clamp(0, 1), target.clamp(0, 1), normalize=True).flatten()


@cache
def lpips_model(net: Literal["vgg", "alex"]) -> nn.Module:
    """The LPIPS network with its ImageNet trunk. Raises WeightsError if the trunk's weights are missing."""
    weights = trunk_weights({"vgg": "vgg16", "alex": "alexnet"}[net])
    package = import_lpips()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips uses an argument that torchvision has renamed
        model = package.LPIPS(net=net, pnet_rand=True, verbose=False)  # trunk is filled in below
    convolutions = [m for m in model.net.modules() if isinstance(m, nn.Conv2d)]
    for conv, (weight, bias) in zip(convolutions, weights, strict=True):
        conv.weight = nn.Parameter(weight)
        conv.bias = nn.Parameter(bias)
    return model.requires_grad_(False).eval()


def import_lpips():
    """Import the package `lpips`, even if torchvision's compiled operators cannot be loaded.

    PyPI's torchvision is compiled for a CUDA build of torch. With a CPU build its import fails because two
    operator schemas are missing, which are then declared here. They must not be declared up front: where the
    compiled operators do load (a CUDA build, even without a GPU), a second declaration aborts the process.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        if hasattr(torch.ops.torchvision, "nms"):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
    import lpips as package

    return package


# a declaration lives only as long as its Library object
_declared: list[torch.library.Library] = []


def _full_precision() -> AbstractContextManager[None]:
    """Run cuDNN convolutions in fp32: the default, TF32, has a 10-bit mantissa, too short for variances."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _check(pred: Tensor, target: Tensor) -> None:
    if pred.shape != target.shape or pred.ndim != 4 or pred.shape[1] != 3:
        raise ViewsError(
            f"cannot compare images {list(pred.shape)} with {list(target.shape)}: "
            "need two equal shapes [B, 3, H, W]"
        )
