"""Training memory: tensors saved for the backward pass, by closed form and as measured with torch.

All numbers are for the encoder (tokenizers, blocks, head), without renderer and loss. "bf16" means autocast
as on CUDA: matrix products and the values between them in bfloat16, the residual stream and the inputs of
LayerNorms in float32.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed._tools.mem_tracker import MemTracker
from torch.overrides import TorchFunctionMode

from ilrm.cameras import Cameras
from ilrm.config import ModelConfig
from ilrm.cost import tokens
from ilrm.model import ILRM
from ilrm.views import Views


@dataclass(frozen=True)
class Workload:
    """A training step of the encoder."""

    config: ModelConfig
    views: int
    height: int  # pixels
    width: int
    batch: int = 1  # scenes
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpointing: bool = False
    fused_norm: bool = False  # QK-norm saves only its input (CUDA), not also the quotient (CPU)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step of the encoder."""

    saved: int  # saved between forward and backward pass, without weights
    peak: int  # weights, gradients, AdamW's moments, activations and temporaries


def saved_bytes(work: Workload) -> int:
    """Closed-form number of bytes that a training step saves for its backward pass, without weights.

    With fused norms in fp32, a cross block saves (12 + 4 k) N D + 3 M D values per view and a self block
    19 N D, plus the statistics of norms and softmax; with checkpointing, a block only saves its inputs. In
    bf16, the copies of the weights are included.
    """
    c, d = work.config, work.config.width
    scenes = work.batch * work.views
    n, m = (scenes * count for count in tokens(c, work.height, work.width))
    low = _low(work)
    total = _tokenizers_and_head(work, n, m)
    for kind in c.block_kinds:
        if kind == "self":
            block, inputs = _self_block(work, n), 4 * n * d
        else:
            own, images = n // c.minibatch, m // c.minibatch
            block, inputs = _cross_block(work, own, images), 4 * own * d
            if c.minibatch > 1:
                # copies of the subset's tokens, the values written back, and the indices;
                # for r = 2, the selected columns are a view that keeps all indices alive
                indices = (own * (2 if c.minibatch == 2 else 1) + images) // scenes
                copies = low * images * d + 4 * own * d + 8 * indices
                block, inputs = block + copies, inputs + copies
        total += inputs if work.checkpointing else block
    return total


def _low(work: Workload) -> int:
    """Bytes per value between matrix products."""
    return 2 if work.precision == "bf16" else 4


def _tokenizers_and_head(work: Workload, n: int, m: int) -> int:
    """Inputs of the matrix products, fp32 inputs of the norms and their statistics, image tokens."""
    c, d, low = work.config, work.config.width, _low(work)
    channels = c.ray_channels if c.initial_tokens == "rays" else c.image_channels
    total = n * (4 * d + 8 + low * d)
    if work.precision == "bf16":
        total += 2 * d * c.patch**2 * c.head_channels
    if c.initial_tokens == "random":  # tokens of one view, shared by all views
        total -= 4 * d * (n - n // (work.batch * work.views))
    else:
        total += n * (low * c.patch**2 * channels + 4 * d + 8)
    if c.cross_attention != "none":
        total += m * (low * c.patch**2 * c.image_channels + 4 * d + 8)
        total += m * low * d if c.minibatch == 1 else 0
    return total


def _cross_block(work: Workload, n: int, m: int) -> int:
    c, d, low, k = work.config, work.config.width, _low(work), work.config.queries_per_token
    attention = (n * k + m) * _normed(work) + low * d * (m + 2 * n * k) + 4 * n * k * c.heads
    weights = 2 * k + 2  # number of D x D matrices
    return n * (4 * d + 8 + low * d) + attention + _mlp(work, n) + _weights(work, weights)


def _self_block(work: Workload, n: int) -> int:
    c, d, low = work.config, work.config.width, _low(work)
    attention = 2 * n * _normed(work) + low * d * 3 * n + 4 * n * c.heads
    if not work.fused_norm and low == 2:
        # the unnormalised queries and keys, kept alive by the values in the same storage
        attention += 2 * low * d * n
    return n * (4 * d + 8 + low * d) + attention + _mlp(work, n) + _weights(work, 4)


def _normed(work: Workload) -> int:
    """Bytes per query or key: input of its norm (on CPUs in fp32, plus the quotient), output, statistics."""
    d, low = work.config.width, _low(work)
    inputs = low * d if work.fused_norm else (4 + 4) * d
    return inputs + low * d + 4 * work.config.heads


def _mlp(work: Workload, n: int) -> int:
    return n * (4 * work.config.width + 8 + _low(work) * 9 * work.config.width)


def _weights(work: Workload, squares: int) -> int:
    """Bytes of the bf16 copies that autocast makes of a block's weights, including the MLP."""
    if work.precision == "fp32":
        return 0
    d = work.config.width
    return 2 * ((squares + 8) * d * d + 2 * d // work.config.heads)


def training_memory(work: Workload) -> TrainingMemory:
    """Measure saved and peak memory of a training step on fake tensors without data.

    The step is AdamW's second, so that its moments exist. Norms are those of a CPU, so compare `saved` with
    `saved_bytes` for `work.fused_norm` False.
    """
    with FakeTensorMode(), _WideLayerNorms():
        # all patterns need the same memory
        config = replace(work.config, minibatch_pattern="strided")
        model = ILRM(config, checkpointing=work.checkpointing).train()
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        views = _views(work)
        for p in model.parameters():
            p.grad = torch.empty_like(p)
        optimizer.step()
        optimizer.zero_grad()
        tracker = MemTracker()
        tracker.track_external(model, optimizer, views.images)
        saved = Saved(model)
        with tracker:
            with saved, torch.autocast("cpu", torch.bfloat16, enabled=work.precision == "bf16"):
                out = model.head(model.encode(views))
            out.sum().backward()
            optimizer.step()
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    return TrainingMemory(saved.total(), peak["Total"])


def inference_bytes(work: Workload) -> int:
    """Peak bytes of the encoder's forward pass without gradients, weights included."""
    with FakeTensorMode(), _WideLayerNorms(), torch.no_grad():
        model = ILRM(work.config).eval()
        views = _views(work)
        tracker = MemTracker()
        tracker.track_external(model, views.images)
        with tracker, torch.autocast("cpu", torch.bfloat16, enabled=work.precision == "bf16"):
            model(views)
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    return peak["Total"]


def _views(work: Workload) -> Views:
    shape = (work.batch, work.views)
    cameras = Cameras(torch.empty(*shape, 4), torch.empty(*shape, 4, 4), work.height, work.width)
    return Views(torch.empty(*shape, 3, work.height, work.width), cameras)


class Saved(saved_tensors_hooks):
    """Context manager that sums the storages saved by autograd, each counted once, without the weights."""

    def __init__(self, model: ILRM):
        self.kept: dict[int, Tensor] = {}
        self.weights = {p.untyped_storage()._cdata for p in model.parameters()}
        super().__init__(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in self.weights:
            self.kept[storage] = tensor
        return tensor

    def total(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self.kept.values())


class _WideLayerNorms(TorchFunctionMode):
    """Run LayerNorms under CPU autocast as CUDA's autocast does: input and output in fp32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.layer_norm and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))
