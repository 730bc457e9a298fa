"""Post-prediction optimisation, iLRM_10 and iLRM_20 of Table 5 (supplementary, evaluation)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.gaussians import OPACITY_RANGE, SH_DEGREE_0, Gaussians
from ilrm.rendering import render
from ilrm.views import Views

POSITION_RATE = 6e-4  # Adam's learning rate of the positions
RATE = 1e-3  # Adam's learning rate of all other parameters
EPS = 1e-15


@dataclass(frozen=True)
class SplatParameters:
    """Unconstrained parameters of Gaussians, before their activations, for an optimiser."""

    means: Float[Tensor, "B G 3"]
    quats: Float[Tensor, "B G 4"]  # not necessarily normalised
    log_scales: Float[Tensor, "B G 3"]
    opacity_logits: Float[Tensor, "B G"]
    sh0: Float[Tensor, "B G 3"]  # colour = 0.5 + 0.2821 sh0, clamped at 0

    @classmethod
    def from_gaussians(cls, gaussians: Gaussians) -> "SplatParameters":
        """Inverse of `gaussians`; the parameters are leaf tensors. Colours clamped at 0 stay at 0; opacities
        are clamped to [1e-6, 1 - 1e-6].
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
        """A copy of the current Gaussians that does not change with the parameters."""
        gaussians = self.gaussians()
        return replace(gaussians, means=gaussians.means.clone())


@torch.enable_grad()
def refine(
    gaussians: Gaussians,
    views: Views,
    steps: int,
    on_step: Callable[[int, Gaussians], None] = lambda step, gaussians: None,
) -> Gaussians:
    """Fit Gaussians to the input views with `steps` full-batch steps of Adam on the mean squared error.

    The gradient is accumulated view by view, so that memory does not grow with the number of views. After
    every step, `on_step` is called with the number of steps done and a copy of the Gaussians. Colours must be
    RGB values, not spherical harmonics.
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
