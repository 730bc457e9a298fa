"""What a configuration costs: parameters, multiply-accumulates (MACs) and Gaussians.

One MAC is two FLOPs. The closed forms count the matrix products of the tokenisers, the blocks and the
head; norms, activations and the ray geometry, well below a percent, are left out, as in the paper.
"""

from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from ilrm.cameras import Cameras
from ilrm.config import ModelConfig
from ilrm.model import ILRM, IMAGE_CHANNELS, RAY_CHANNELS
from ilrm.views import Views

PARTS = ("image_tokenizer", "viewpoint_tokenizer", "blocks", "head")


def parameters(config: ModelConfig) -> int:
    """Learned values of the model; nothing is allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in ILRM(config).parameters())


def gaussians(config: ModelConfig, views: int, height: int, width: int) -> int:
    """Gaussians a scene: one a viewpoint pixel."""
    return views * height * width // config.viewpoint_factor**2


def table8_gflops() -> tuple[float, float, float]:
    """GFLOPs of one per-view cross-attention at the paper's size: (full, half, quarter), Table 8.

    The paper's own convention: projections of queries, keys, values and output, and the two attention
    products, 4 D^2 (Lv + Li) + 4 Lv Li D with Lv = N / r and Li = M / r; uplifting and MLP are left out.
    """
    c = ModelConfig()
    n, m = 256**2 // c.size_multiple**2, 256**2 // c.patch**2
    full, half, quarter = (
        (4 * c.width**2 * (n + m) // r + 4 * (n // r) * (m // r) * c.width) / 1e9 for r in (1, 2, 4)
    )
    return full, half, quarter


def figure2_ratio() -> tuple[float, float, float, float]:
    """Attention-score entries of the designs (a) to (d) of Figure 2, as shares of (a).

    16 views of 256x256 in patches of 8: full attention, decoupled at full and at half resolution, and iLRM.
    """
    views, m = 16, (256 // 8) ** 2
    n = m // 4
    everything = (views * m) ** 2
    decoupled_half = (views * n) * (views * m)
    two_stages = views * n * m + (views * n) ** 2
    return 1.0, 1.0, decoupled_half / everything, two_stages / everything


def analytic_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one scene's forward pass by closed form: {part: MACs}, parts as in `PARTS`."""
    c, d, k = config, config.width, config.queries_per_token
    n = height * width // c.size_multiple**2  # N
    m = height * width // (c.patch * c.image_factor) ** 2  # M
    channels = RAY_CHANNELS if c.initial_tokens == "rays" else IMAGE_CHANNELS
    cross_n, cross_m = n // c.minibatch, m // c.minibatch
    seen = views if c.cross_attention == "group" else 1  # views that a query attends to
    cross = (
        cross_n * (2 * k + 8) * d * d + cross_m * 2 * d * d + 2 * cross_n * k * cross_m * seen * d
    )
    own = n * 12 * d * d + 2 * n * n * views * d
    blocks = sum(cross if kind == "cross" else own for kind in c.block_kinds)
    return {
        "image_tokenizer": 0
        if c.cross_attention == "none"
        else views * m * IMAGE_CHANNELS * c.patch**2 * d,
        "viewpoint_tokenizer": 0
        if c.initial_tokens == "random"
        else views * n * channels * c.patch**2 * d,
        "blocks": views * blocks,
        "head": views * n * d * c.patch**2 * c.head_channels,
    }


def counted_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one scene's forward pass as fvcore counts them, attention included: {part: MACs}."""
    with torch.device("meta"):
        model = _Traceable(ILRM(config).eval())
        inputs = (
            torch.empty(1, views, 3, height, width),
            torch.empty(1, views, 4),
            torch.empty(1, views, 4, 4),
        )
        count = FlopCountAnalysis(model, inputs)
        count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        count.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        count.set_op_handle("aten::layer_norm", lambda inputs, outputs: 0)
        by_module = count.by_module()
    return {part: int(by_module.get(f"model.{part}", 0)) for part in PARTS}


class _Traceable(nn.Module):
    """The model as a function of tensors, which tracing needs."""

    def __init__(self, model: ILRM):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, fxfycxcy: Tensor, c2w: Tensor) -> Tensor:
        cameras = Cameras(fxfycxcy, c2w, *images.shape[-2:])
        return self.model.head(self.model.encode(Views(images, cameras)))


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """QK^T and the weighted sum of V; fvcore itself counts neither."""
    q, k = (value.type().sizes() for value in inputs[:2])  # [b, H, n, d], [b, H, m, d]
    return 2 * q[0] * q[1] * q[2] * k[2] * q[3]
