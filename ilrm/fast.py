"""Fast inference: bf16 weights, compiled blocks, and CUDA graphs for small inputs."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ilrm.cameras import Cameras
from ilrm.gaussians import Gaussians
from ilrm.model import ILRM
from ilrm.system.attention_kernels import choose_attention
from ilrm.views import Views

GRAPH_TOKENS = 16_384  # image tokens up to which kernel launches dominate
RECOMPILES = 64  # limit of sizes for which a block is compiled; dynamo's default is 8
MOST_GRAPHS = 8  # captured input sizes to keep; each graph holds its own memory


class FastILRM:
    """A trained model for inference on one device: `FastILRM(model, device)(views) -> Gaussians`.

    On CUDA, linear layers are stored in bf16 and run under autocast (the numerics of bf16 training without
    its casts), blocks are compiled, and for small inputs the encoder is captured as a CUDA graph per input
    size. On a CPU, the model runs unchanged in fp32.
    """

    def __init__(self, model: ILRM, device: torch.device, compile: bool = True):
        choose_attention(device)
        self.device, self.bf16 = device, device.type == "cuda"
        self.model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
        if self.bf16:
            for module in self.model.modules():
                if isinstance(module, nn.Linear):
                    module.to(torch.bfloat16)
        if compile and self.bf16:
            for block in self.model.blocks:
                block.compile()
        self.graphs: dict[tuple[int, ...], _Graph] = {}

    @torch.inference_mode()
    def __call__(self, views: Views) -> Gaussians:
        """Gaussians in fp32. Raises ViewsError like the model."""
        with self._autocast():
            return self.model.decode(self.tokens(views), views)

    @torch.inference_mode()
    def tokens(self, views: Views) -> Tensor:
        """Viewpoint tokens after the last layer, [B, V, N, D]."""
        if not self._captures(views):
            return self._encode(views)
        shape = tuple(views.images.shape)
        if shape not in self.graphs:
            if len(self.graphs) == MOST_GRAPHS:
                del self.graphs[next(iter(self.graphs))]  # the oldest
            self.graphs[shape] = _Graph(self._encode, views)
        return self.graphs[shape](views)

    def uncaptured(self, views: Views) -> Tensor:
        """Same as `tokens`, but without a CUDA graph, so that a profiler sees the operators."""
        with torch.no_grad():  # inference mode hides the operators inside composite ones
            return self._encode(views)

    def _encode(self, views: Views) -> Tensor:
        with self._autocast():
            return self.model.encode(views)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _captures(self, views: Views) -> bool:
        """True for small inputs on CUDA, unless random subsets are drawn, which a replay would repeat."""
        c = self.model.config
        drawn = c.minibatch > 1 and c.minibatch_pattern == "random"
        image_tokens = views.images[:, :, 0].numel() // (c.patch * c.image_factor) ** 2
        return self.device.type == "cuda" and not drawn and image_tokens <= GRAPH_TOKENS


class _Graph:
    """A CUDA graph of a function of views of one size, replayed on copies of the inputs."""

    def __init__(self, encode: Callable[[Views], Tensor], views: Views):
        own = views.cameras
        self.inputs = Views(
            views.images.clone(),
            Cameras(own.fxfycxcy.clone(), own.c2w.clone(), own.height, own.width),
        )
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        # Warm-up: compiles, and lets libraries make their first-use allocations. A graph is for one size, and
        # blocks compiled for any size are slower (full attention over 4 views: 10.0 instead of 6.9 ms on an
        # H100).
        one_size = torch._dynamo.config.patch(
            automatic_dynamic_shapes=False, recompile_limit=RECOMPILES
        )
        with one_size, torch.cuda.stream(side):
            for _ in range(3):
                encode(self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = encode(self.inputs)

    def __call__(self, views: Views) -> Tensor:
        self.inputs.images.copy_(views.images)
        self.inputs.cameras.fxfycxcy.copy_(views.cameras.fxfycxcy)
        self.inputs.cameras.c2w.copy_(views.cameras.c2w)
        self.graph.replay()
        return self.output.clone()
