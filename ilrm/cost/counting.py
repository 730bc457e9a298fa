"""MACs of the model as counted by fvcore and by torch, to check the closed forms of `ilrm.cost`.

Both count on the meta device without allocating memory, so that any machine can count every configuration of
the paper. By default, neither counts attention (fvcore does not know the operator, torch does not count it on
the CPU); here it is counted as its two matrix products.
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

# Operators without a matrix product that fvcore does not know and that need not be counted: ray geometry,
# norms, activations, and index arithmetic of token subsets.
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
    """MACs per scene of the forward pass as counted by fvcore: {part: MACs}, with the parts of `cost.PARTS`.

    Raises ValueError on an operator that is neither known to fvcore nor in `UNCOUNTED`.
    """
    with torch.device("meta"):
        count = FlopCountAnalysis(_Traceable(ILRM(config).eval()), _inputs(views, height, width))
    count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    count.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
    count.set_op_handle("aten::layer_norm", lambda inputs, outputs: 0)
    by_module = count.by_module()
    unknown = set(count.unsupported_ops()) - UNCOUNTED
    if unknown:
        raise ValueError(
            f"operators that are not counted: {', '.join(sorted(unknown))}: add those without a matrix "
            "product to UNCOUNTED"
        )
    return {part: int(by_module.get(f"model.{part}", 0)) for part in PARTS}


def torch_macs(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """MACs per scene of the forward pass as counted by torch's FlopCounterMode: {part: MACs}."""
    with torch.device("meta"):
        model = _Traceable(ILRM(config).eval().requires_grad_(False))
        inputs = _inputs(views, height, width)
        counter = FlopCounterMode(display=False, depth=4)
        # the math backend decomposes attention into two products, which torch counts on any device
        with counter, sdpa_kernel(SDPBackend.MATH):
            model(*inputs)
    macs: Counter[str] = Counter()
    for name, operators in counter.get_flop_counts().items():
        part = name.removeprefix("_Traceable.model.")
        if part in PARTS or (part.startswith("blocks.") and part.count(".") == 1):
            macs[part.split(".")[0]] += sum(operators.values()) // 2
    return {part: macs[part] for part in PARTS}


class _Traceable(nn.Module):
    """The model as a module with tensor arguments, which tracing needs."""

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
    """MACs of QK^T and of the weighted sum of V."""
    q, k = (value.type().sizes() for value in inputs[:2])  # [b, H, n, d], [b, H, m, d]
    return 2 * q[0] * q[1] * q[2] * k[2] * q[3]
