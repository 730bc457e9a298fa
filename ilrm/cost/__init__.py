"""Closed-form cost of a configuration: parameters, multiply-accumulates (MACs) and Gaussians.

One MAC is two FLOPs. The count covers the matrix products of tokenizers, blocks and head; norms, activations
and ray geometry, well below one percent, are left out, as in the paper. `ilrm/cost/counting.py` counts the
MACs of the model itself as a check.
"""

from functools import cache

import torch

from ilrm.config import ModelConfig
from ilrm.model import ILRM

PARTS = ("image_tokenizer", "viewpoint_tokenizer", "blocks", "head")


@cache
def parameters(config: ModelConfig) -> int:
    """Number of parameters of the model, without allocating them."""
    with torch.device("meta"):
        return sum(p.numel() for p in ILRM(config).parameters())


def gaussians(config: ModelConfig, views: int, height: int, width: int) -> int:
    """Number of Gaussians per scene: one per viewpoint pixel."""
    return views * height * width // config.viewpoint_factor**2


def tokens(config: ModelConfig, height: int, width: int) -> tuple[int, int]:
    """(N, M): number of viewpoint tokens and of image tokens per view."""
    n = height * width // config.size_multiple**2
    return n, height * width // (config.patch * config.image_factor) ** 2


def table8_gflops() -> tuple[float, float, float]:
    """GFLOPs of one per-view cross-attention at the paper's size: (full, half, quarter), Table 8.

    Follows the paper's convention: query, key, value and output projections and the two attention products,
    4 D^2 (Lv + Li) + 4 Lv Li D with Lv = N / r and Li = M / r, without token uplifting and MLP.
    """
    c = ModelConfig()
    n, m = tokens(c, 256, 256)
    full, half, quarter = (
        (4 * c.width**2 * (n + m) // r + 4 * (n // r) * (m // r) * c.width) / 1e9 for r in (1, 2, 4)
    )
    return full, half, quarter


def figure2_ratio() -> tuple[float, float, float, float]:
    """Number of attention scores of designs (a) to (d) of Figure 2, relative to (a).

    For 16 views of 256x256 with patch size 8: full attention, decoupled tokens at full and at half
    resolution, and iLRM.
    """
    views, m = 16, (256 // 8) ** 2
    n = m // 4
    everything = (views * m) ** 2
    decoupled_half = (views * n) * (views * m)
    two_stages = views * n * m + (views * n) ** 2
    return 1.0, 1.0, decoupled_half / everything, two_stages / everything


def cross_block_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one cross-attention block over all views: {"projections", "attention", "mlp"} (Eq. 3).

    Attention consists of QK^T and the weighted sum of V. Mini-batch cross-attention counts its subset only.
    """
    c, d, k = config, config.width, config.queries_per_token
    n, m = (count // c.minibatch for count in tokens(c, height, width))
    attended = views if c.cross_attention == "group" else 1  # views that a query attends to
    return {
        "projections": views * (n * 2 * k + m * 2) * d * d,
        "attention": views * 2 * n * k * m * attended * d,
        "mlp": views * n * 8 * d * d,
    }


def self_block_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one self-attention block over all views: {"projections", "attention", "mlp"} (Eq. 4)."""
    d, n = config.width, views * tokens(config, height, width)[0]
    return {"projections": n * 4 * d * d, "attention": 2 * n * n * d, "mlp": n * 8 * d * d}


def analytic_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """Closed-form MACs per scene of the forward pass: {part: MACs}, with the parts of `PARTS`."""
    c, size = config, (views, height, width)
    n, m = (views * count for count in tokens(c, height, width))
    channels = c.ray_channels if c.initial_tokens == "rays" else c.image_channels
    pixels = c.patch**2 * c.width
    block = {
        "cross": sum(cross_block_macs(c, *size).values()),
        "self": sum(self_block_macs(c, *size).values()),
    }
    return {
        "image_tokenizer": 0 if c.cross_attention == "none" else m * c.image_channels * pixels,
        "viewpoint_tokenizer": 0 if c.initial_tokens == "random" else n * channels * pixels,
        "blocks": sum(block[kind] for kind in c.block_kinds),
        "head": n * pixels * c.head_channels,
    }


def self_attention_takes_over(config: ModelConfig, height: int, width: int) -> int:
    """The number of views from which the attention products of self-attention are the majority of all MACs.

    They grow quadratically with the number of views and everything else linearly, so the answer is
    V = (MACs of everything else for one view) / (MACs of self-attention for one view), rounded up. Raises
    ValueError for a model without self-attention.
    """
    blocks = config.block_kinds.count("self")
    one = blocks * self_block_macs(config, 1, height, width)["attention"]
    if not one:
        raise ValueError("a model without self-attention never reaches this number of views")
    rest = sum(analytic_macs(config, 1, height, width).values()) - one
    return -(-rest // one)
