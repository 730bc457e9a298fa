"""The least time that a device needs: its rate of products, its memory bandwidth."""

from dataclasses import dataclass
from functools import partial

import torch

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.system.timing import median_seconds


@dataclass(frozen=True)
class Device:
    """What bounds a device: FLOP/s of dense products, bytes/s of its memory.

    Where both were measured, a floor is as low as large products and copies went then.
    """

    name: str
    flops: float
    bandwidth: float


# NVIDIA's data sheets (H100 and H200: SXM): dense bf16 products with fp32 accumulation, without sparsity.
DEVICES = {
    "RTX 4090": Device("RTX 4090", 165.2e12, 1.008e12),
    "H100": Device("H100", 989e12, 3.35e12),
    "H200": Device("H200", 989e12, 4.8e12),
}


def floor_seconds(
    config: ModelConfig, views: int, height: int, width: int, device: Device, value_bytes: int = 2
) -> float:
    """Seconds that one scene's forward pass takes at least: its FLOPs, or every weight and token read once.

    `value_bytes`: of a weight or activation; 2 for bf16, 4 for fp32.
    """
    flops = 2 * sum(cost.analytic_macs(config, views, height, width).values())
    n, m = (views * count for count in cost.tokens(config, height, width))
    values = cost.parameters(config) + (n + m) * config.width
    return max(flops / device.flops, value_bytes * values / device.bandwidth)


def measured_device(device: torch.device, dtype: torch.dtype, name: str) -> Device:
    """A device's own rates: the best of several sizes of a square product, and a copy of large tensors."""
    cuda = device.type == "cuda"
    rates = []
    for size in (4096, 8192) if cuda else (1024, 2048, 4096):
        a = torch.randn(size, size, device=device, dtype=dtype)
        rates.append(2 * size**3 / median_seconds(partial(torch.matmul, a, a), device, 0.5)[0])
    source = torch.empty((1 << 30 if cuda else 1 << 26) // 4, device=device)  # far above any cache
    target = torch.empty_like(source)
    copied = 2 * source.nbytes
    bandwidth = copied / median_seconds(lambda: target.copy_(source), device, 0.5)[0]
    return Device(name, max(rates), bandwidth)
