"""Which of torch's fused attention kernels is preferred on CUDA: the faster one by a short measurement, or
the one that ILRM_ATTENTION names (flash, cudnn).

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
BUDGET = 0.2  # seconds a kernel

_preferred = ExitStack()  # torch changes its order for as long as a context is open
atexit.register(_preferred.close)


def choose_attention(device: torch.device) -> str | None:
    """The kernel that this process prefers on a device from now on; None, and nothing done, on a CPU.

    Where it does not take an input (fp32), torch goes on to the next one. Raises ConfigError on an unknown
    name in ILRM_ATTENTION.
    """
    asked = os.environ.get(OPTION, "")
    if asked and asked not in KERNELS:
        raise ConfigError(f"{OPTION}={asked!r}: give one of {', '.join(KERNELS)}, or leave it out")
    return _chosen(device, asked) if device.type == "cuda" else None


@cache
def _chosen(device: torch.device, asked: str) -> str:
    name = asked or _fastest(device)
    prefer(name)
    return name


def prefer(name: str) -> None:
    """Put a kernel first in torch's order."""
    others = [kernel for kernel in KERNELS.values() if kernel is not KERNELS[name]]
    rest = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    _preferred.close()
    _preferred.enter_context(sdpa_kernel([KERNELS[name], *others, *rest], set_priority=True))


def _fastest(device: torch.device) -> str:
    return min(KERNELS, key=lambda name: _seconds(name, device))


def _seconds(name: str, device: torch.device) -> float:
    """Seconds of a forward and a backward pass in bf16; infinite where the kernel does not run."""
    q, k, v = (
        torch.randn(SHAPE, device=device, dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )

    def work() -> None:
        F.scaled_dot_product_attention(q, k, v).sum().backward()

    try:
        with sdpa_kernel(KERNELS[name]), torch.enable_grad():
            return median_seconds(work, device, BUDGET)[0]
    except RuntimeError:  # not built in, or not for this GPU
        return math.inf
