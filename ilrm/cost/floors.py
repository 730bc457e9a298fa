"""Lower bounds on the inference time of a device, from its matrix throughput and memory bandwidth."""

from dataclasses import dataclass
from functools import partial

import torch

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.system.timing import median_seconds


@dataclass(frozen=True)
class Device:
    """Throughput limits of a device: FLOP/s of dense matrix products and bytes/s of its memory.

    If they were measured, bounds derived from them are relative to large matrix products and copies.
    """

    name: str
    flops: float
    bandwidth: float


# From NVIDIA's data sheets (H100 and H200: SXM): dense bf16 with fp32 accumulation, without sparsity.
DEVICES = {
    "RTX 4090": Device("RTX 4090", 165.2e12, 1.008e12),
    "H100": Device("H100", 989e12, 3.35e12),
    "H200": Device("H200", 989e12, 4.8e12),
}


def floor_seconds(
    config: ModelConfig, views: int, height: int, width: int, device: Device, value_bytes: int = 2
) -> float:
    """Lower bound, in seconds, for one scene's forward pass: the larger of the times for its FLOPs and for
    reading every weight and token once.

    `value_bytes`: bytes per weight or activation, 2 for bf16, 4 for fp32.
    """
    flops = 2 * sum(cost.analytic_macs(config, views, height, width).values())
    n, m = (views * count for count in cost.tokens(config, height, width))
    values = cost.parameters(config) + (n + m) * config.width
    return max(flops / device.flops, value_bytes * values / device.bandwidth)


def measured_device(device: torch.device, dtype: torch.dtype, name: str) -> Device:
    """Measure a device: the best rate of square matrix products of several sizes, and of a large copy."""
    cuda = device.type == "cuda"
    rates = []
    for size in (4096, 8192) if cuda else (1024, 2048, 4096):
        a = torch.randn(size, size, device=device, dtype=dtype)
        rates.append(2 * size**3 / median_seconds(partial(torch.matmul, a, a), device, 0.5)[0])
    size = 1 << 30 if cuda else 1 << 26  # bytes, much larger than any cache
    source = torch.empty(size // 4, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes
    bandwidth = copied / median_seconds(lambda: target.copy_(source), device, 0.5)[0]
    return Device(name, max(rates), bandwidth)
