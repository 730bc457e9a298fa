"""Post-prediction optimisation: iLRM_10 and iLRM_20 of Table 5 (supplementary, evaluation)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.gaussians import OPACITY_RANGE, SH_DEGREE_0, Gaussians
from ilrm.rendering import render
from ilrm.views import Views

POSITION_RATE = 6e-4  # learning rates of Adam, eps 1e-15
RATE = 1e-3  # of everything but positions
EPS = 1e-15


@dataclass(frozen=True)
class SplatParameters:
    """Gaussians before their activations: what an optimiser may move freely."""

    means: Float[Tensor, "B G 3"]
    quats: Float[Tensor, "B G 4"]  # of any length
    log_scales: Float[Tensor, "B G 3"]
    opacity_logits: Float[Tensor, "B G"]
    sh0: Float[Tensor, "B G 3"]  # colour = 0.5 + 0.2821 sh0, clamped at 0

    @classmethod
    def from_gaussians(cls, gaussians: Gaussians) -> "SplatParameters":
        """Inverse of `gaussians`, as leaves. Colours below 0 were clamped before and stay at 0; opacities
        are kept within 1e-6 of 0 and 1.
        """
        parts = (
            gaussians.means,
            gaussians.quats,
            gaussians.scales.log(),
            torch.logit(gaussians.opacities.clamp(*OPACITY_RANGE)),
            (gaussians.colors - 0.5) / SH_DEGREE_0,
        )
        return cls(*(part.detach().clone().requires_grad_() for part in parts))

    def gaussians(self) -> Gaussians:
        """The Gaussians, differentiable in these parameters."""
        return Gaussians(
            means=self.means,
            quats=torch.nn.functional.normalize(self.quats, dim=-1),
            scales=self.log_scales.exp(),
            opacities=torch.sigmoid(self.opacity_logits),
            colors=(0.5 + SH_DEGREE_0 * self.sh0).clamp(min=0),
        )

    @torch.no_grad()
    def copied(self) -> Gaussians:
        """The Gaussians as they are now, whatever becomes of the parameters."""
        gaussians = self.gaussians()
        return replace(gaussians, means=gaussians.means.clone())


@torch.enable_grad()
def refine(
    gaussians: Gaussians,
    views: Views,
    steps: int,
    on_step: Callable[[int, Gaussians], None] = lambda step, gaussians: None,
) -> Gaussians:
    """Gaussians fitted to the input views: `steps` full-batch steps of Adam on the mean squared error.

    The gradient is summed view by view, so memory does not grow with their number. `on_step` sees every
    step done, from 1, and a copy of its Gaussians. Colours are values, not harmonics.
    """
    parameters = SplatParameters.from_gaussians(gaussians)
    optimizer = torch.optim.Adam(
        [
            {"params": [parameters.means], "lr": POSITION_RATE},
            {
                "params": [
                    parameters.quats,
                    parameters.log_scales,
                    parameters.opacity_logits,
                    parameters.sh0,
                ],
                "lr": RATE,
            },
        ],
        eps=EPS,
    )
    count = views.images.shape[1]
    for step in range(steps):
        optimizer.zero_grad()
        for i in range(count):
            images = render(parameters.gaussians(), views.cameras[:, i : i + 1]).images
            error = (images - views.images[:, i : i + 1]).square().mean()
            (error / count).backward()
        optimizer.step()
        on_step(step + 1, parameters.copied())
    return parameters.copied() if steps else gaussians
