"""AdamW and Muon, with the parameter groups of the recipe and the learning-rate schedule."""

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from ilrm.config import TrainConfig

BETAS = (0.9, 0.95)
CACHED = 1 << 17  # values, 512 KiB, which fit into a core's second-level cache


def schedule(step: int, config: TrainConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine to zero at `config.steps`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rates(
    optimizers: list[torch.optim.Optimizer], step: int, config: TrainConfig
) -> None:
    """Set the learning rate of every parameter group to its peak times the schedule."""
    for optimizer in optimizers:
        own = config.matrix_lr if isinstance(optimizer, Muon) else None
        peak = config.lr if own is None else own
        for group in optimizer.param_groups:
            group["lr"] = peak * schedule(step, config)


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW on everything, or Muon on the matrices of the blocks and AdamW on the rest.

    Weight decay applies to all weights except those of norms.
    """
    matrices = [
        p
        for name, p in model.named_parameters()
        if config.optimizer == "muon" and p.ndim == 2 and "blocks." in name
    ]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    adamw = torch.optim.AdamW(groups, lr=config.lr, betas=BETAS, fused=fused)
    if not matrices:
        return [adamw]
    return [adamw, Muon(matrices, lr=config.lr, weight_decay=config.weight_decay)]


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al. 2024), scaled to AdamW's size.

    Update RMS 0.2 as in Liu et al. 2025, so that AdamW's learning rates carry over. Weights that
    stack several maps ([n * D, D]: q, k, v, uplifted queries) are orthogonalised map by map, all maps
    of one shape in one batched product.
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"])  # Nesterov
                square = min(p.shape)
                maps = update.view(-1, square, square) if p.shape[1] == square else None
                if maps is None:  # [D, n * D]: split its columns
                    maps = update.view(square, -1, square).transpose(0, 1)
                by_shape[(square, square)].append((p, maps))
            for entries in by_shape.values():
                orthogonal = orthogonalize(torch.cat([maps for _, maps in entries]))
                parts = orthogonal.split([len(maps) for _, maps in entries])
                for (p, _), part in zip(entries, parts, strict=True):
                    tall = p.shape[0] >= p.shape[1]
                    update = (
                        part.reshape(p.shape) if tall else part.transpose(0, 1).reshape(p.shape)
                    )
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(min(p.shape)))


def orthogonalize(x: Tensor) -> Tensor:
    """Approximate the nearest orthogonal matrices of x [n, D, D] by five quintic Newton-Schulz steps.

    A CPU processes a few maps at a time, so that they stay in its cache through all steps, which is twice as
    fast. CUDA computes in bf16, as torch.optim.Muon does, for the tensor cores; a CPU would emulate bf16.
    """
    if x.device.type == "cpu":
        together = max(1, CACHED // x[0].numel())
        return torch.cat([_newton_schulz(part) for part in x.split(together)])
    return _newton_schulz(x.bfloat16()).to(x.dtype)


def _newton_schulz(x: Tensor) -> Tensor:
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
