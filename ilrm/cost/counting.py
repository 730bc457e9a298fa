"""MACs counted from the model itself by fvcore and by torch: the check of the closed forms of `ilrm.cost`.

Both count on the meta device, which allocates nothing: every configuration of the paper on any machine. Both
leave attention out on their own, fvcore because it knows no such operator, torch on the CPU; here it is
counted as its two products.
"""

from collections import Counter
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ilrm.cameras import Cameras
from ilrm.config import ModelConfig
from ilrm.cost import PARTS
from ilrm.model import ILRM
from ilrm.views import Views

# Operators without a matrix product, which fvcore does not know and need not: geometry of the rays, norms
# and activations, index arithmetic of token subsets.
UNCOUNTED = frozenset(
    f"aten::{name}"
    for name in (
        *("add", "clamp_min", "div", "mul", "mul_", "sub", "linalg_cross", "linalg_vector_norm"),
        *(
            "avg_pool2d",
            "gelu",
            "rms_norm",
            "expand_as",
            "index_copy",
            "meshgrid",
            "randperm",
            "sort",
        ),
    )
)


def counted_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one scene's forward pass as fvcore counts them: {part: MACs}, parts as in `cost.PARTS`.

    Raises ValueError on an operator that neither fvcore nor `UNCOUNTED` knows: it might be a product.
    """
    with torch.device("meta"):
        count = FlopCountAnalysis(_Traceable(ILRM(config).eval()), _inputs(views, height, width))
    count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    count.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
    count.set_op_handle("aten::layer_norm", lambda inputs, outputs: 0)
    by_module = count.by_module()
    unknown = set(count.unsupported_ops()) - UNCOUNTED
    if unknown:
        raise ValueError(f"operators that nobody counts: {', '.join(sorted(unknown))}")
    return {part: int(by_module.get(f"model.{part}", 0)) for part in PARTS}


def torch_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs of one scene's forward pass as torch's FlopCounterMode counts them: {part: MACs}."""
    with torch.device("meta"):
        model = _Traceable(ILRM(config).eval().requires_grad_(False))
        inputs = _inputs(views, height, width)
        counter = FlopCounterMode(display=False, depth=4)
        # as two products, which torch counts on any device
        with counter, sdpa_kernel(SDPBackend.MATH):
            model(*inputs)
    found: Counter[str] = Counter()
    for name, operators in counter.get_flop_counts().items():
        part = name.removeprefix("_Traceable.model.")
        if part in PARTS or (part.startswith("blocks.") and part.count(".") == 1):
            found[part.split(".")[0]] += sum(operators.values()) // 2
    return {part: found[part] for part in PARTS}


class _Traceable(nn.Module):
    """The model as a function of tensors, which tracing needs."""

    def __init__(self, model: ILRM):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, fxfycxcy: Tensor, c2w: Tensor) -> Tensor:
        cameras = Cameras(fxfycxcy, c2w, *images.shape[-2:])
        return self.model.head(self.model.encode(Views(images, cameras)))


def _inputs(views: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty(1, views, 3, height, width),
        torch.empty(1, views, 4),
        torch.empty(1, views, 4, 4),
    )


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """QK^T and the weighted sum of V; fvcore itself counts neither."""
    q, k = (value.type().sizes() for value in inputs[:2])  # [b, H, n, d], [b, H, m, d]
    return 2 * q[0] * q[1] * q[2] * k[2] * q[3]
