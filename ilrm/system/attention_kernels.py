"""Choice of torch's fused attention kernel on CUDA: the one named by ILRM_ATTENTION (flash, cudnn), else the
faster one in a short measurement.

Which one is faster depends on the GPU and on the versions of torch and cuDNN.
"""

import atexit
import math
import os
from contextlib import ExitStack
from functools import cache

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ilrm.errors import ConfigError
from ilrm.system.timing import median_seconds

OPTION = "ILRM_ATTENTION"
KERNELS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
SHAPE = (1, 12, 4096, 64)  # batch, heads, tokens, head size: self-attention of 16 views of 256x256
BUDGET = 0.2  # seconds per kernel

_preferred = ExitStack()  # the preference is in effect as long as this context is open
atexit.register(_preferred.close)


def choose_attention(device: torch.device) -> str | None:
    """Choose the preferred attention kernel of this process and return its name; on a CPU, return None.

    For inputs that the kernel does not support (fp32), torch uses the next one. Raises ConfigError on an
    unknown name in ILRM_ATTENTION.
    """
    requested = os.environ.get(OPTION, "")
    if requested and requested not in KERNELS:
        raise ConfigError(f"{OPTION}={requested!r}: give one of {', '.join(KERNELS)}, or unset it")
    return _chosen(device, requested) if device.type == "cuda" else None


@cache
def _chosen(device: torch.device, requested: str) -> str:
    name = requested or _fastest(device)
    prefer(name)
    return name


def prefer(name: str) -> None:
    """Give a kernel the highest priority in torch."""
    others = [kernel for kernel in KERNELS.values() if kernel is not KERNELS[name]]
    rest = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    _preferred.close()
    _preferred.enter_context(sdpa_kernel([KERNELS[name], *others, *rest], set_priority=True))


def _fastest(device: torch.device) -> str:
    return min(KERNELS, key=lambda name: _seconds(name, device))


def _seconds(name: str, device: torch.device) -> float:
    """Seconds of a forward and backward pass in bf16; infinite if the kernel is not available."""
    q, k, v = (
        torch.randn(SHAPE, device=device, dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )

    def work() -> None:
        F.scaled_dot_product_attention(q, k, v).sum().backward()

    try:
        with sdpa_kernel(KERNELS[name]), torch.enable_grad():
            return median_seconds(work, device, BUDGET)[0]
    except RuntimeError:  # not compiled in, or not supported by this GPU
        return math.inf
