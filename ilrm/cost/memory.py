"""Memory of training: what a step keeps for its backward pass, by closed form and as torch keeps it.

Everything is counted for the encoder (tokenisers, blocks, head), without renderer and loss. "bf16" is
autocast as on CUDA: products, and what lies between them, in bfloat16; the residual stream and the inputs
of LayerNorms in float32.
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
    fused_norm: bool = False  # QK-norm keeps its input alone (CUDA); else its quotient, too (CPU)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step of the encoder."""

    saved: int  # kept between forward and backward, weights left out
    peak: int  # of everything: weights, gradients, AdamW's moments, activations, temporaries


def saved_bytes(work: Workload) -> int:
    """Bytes that a training step keeps for its backward pass, weights left out, by closed form.

    With fused norms in fp32 a cross block keeps (12 + 4 k) N D + 3 M D values a view and a self block
    19 N D, and the statistics of norms and softmax; with checkpointing, a block keeps its inputs. In
    bf16 the copies of the weights count, too.
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
            if c.minibatch > 1:  # copies of the subset's tokens, what it writes back, its indices
                # alternate columns are a view of all indices
                indices = (own * (2 if c.minibatch == 2 else 1) + images) // scenes
                copies = low * images * d + 4 * own * d + 8 * indices
                block, inputs = block + copies, inputs + copies
        total += inputs if work.checkpointing else block
    return total


def _low(work: Workload) -> int:
    """Bytes of a value between products."""
    return 2 if work.precision == "bf16" else 4


def _tokenizers_and_head(work: Workload, n: int, m: int) -> int:
    """What products take in, the fp32 inputs of norms and their statistics, the image tokens."""
    c, d, low = work.config, work.config.width, _low(work)
    channels = c.ray_channels if c.initial_tokens == "rays" else c.image_channels
    total = n * (4 * d + 8 + low * d)
    if work.precision == "bf16":
        total += 2 * d * c.patch**2 * c.head_channels
    if c.initial_tokens == "random":  # one view's, shared by all
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
    weights = 2 * k + 2  # of D x D
    return n * (4 * d + 8 + low * d) + attention + _mlp(work, n) + _weights(work, weights)


def _self_block(work: Workload, n: int) -> int:
    c, d, low = work.config, work.config.width, _low(work)
    attention = 2 * n * _normed(work) + low * d * 3 * n + 4 * n * c.heads
    if not work.fused_norm and low == 2:
        # queries and keys as they were, held by the values beside them
        attention += 2 * low * d * n
    return n * (4 * d + 8 + low * d) + attention + _mlp(work, n) + _weights(work, 4)


def _normed(work: Workload) -> int:
    """Bytes a query or key: what its norm takes in, for CPUs in fp32 and with the quotient, and gives out."""
    d, low = work.config.width, _low(work)
    inputs = low * d if work.fused_norm else (4 + 4) * d
    return inputs + low * d + 4 * work.config.heads


def _mlp(work: Workload, n: int) -> int:
    return n * (4 * work.config.width + 8 + _low(work) * 9 * work.config.width)


def _weights(work: Workload, squares: int) -> int:
    """The bf16 copies that autocast makes of a block's weights, MLP included."""
    if work.precision == "fp32":
        return 0
    d = work.config.width
    return 2 * ((squares + 8) * d * d + 2 * d // work.config.heads)


def training_memory(work: Workload) -> TrainingMemory:
    """The same as `saved_bytes`, and the peak, from a training step on tensors without data.

    The step is AdamW's second: moments exist. Norms are a CPU's: compare with `work.fused_norm` False.
    """
    with FakeTensorMode(), _WideLayerNorms():
        config = replace(work.config, minibatch_pattern="strided")  # all patterns are of one size
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
    """Sums the storages that autograd keeps, each once, the weights left out."""

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
    """LayerNorms under CPU autocast as CUDA's autocast has them: in and out in fp32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.layer_norm and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))
