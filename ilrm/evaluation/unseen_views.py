"""More views than in training (Table 5, unseen): what their attention and what their Gaussians are worth."""

from collections.abc import Sequence
from dataclasses import fields, replace

import torch

from ilrm import metrics
from ilrm.gaussians import Gaussians
from ilrm.model import ILRM
from ilrm.rendering import render
from ilrm.views import Batch

ALL, SOME, THINNED = "all Gaussians", "Gaussians of the trained number", "all, thinned"


def of_views(gaussians: Gaussians, views: int, chosen: Sequence[int]) -> Gaussians:
    """The Gaussians that were decoded from the chosen ones of the `views` input views."""
    parts = {f.name: getattr(gaussians, f.name) for f in fields(gaussians)}  # [B, V n, ...] each
    return Gaussians(
        **{
            name: part.unflatten(1, (views, -1))[:, list(chosen)].flatten(1, 2)
            for name, part in parts.items()
        }
    )


def thinned(gaussians: Gaussians, share: float) -> Gaussians:
    """Opacities 1 - (1 - o)^share: 1 / share Gaussians in a row then let through as much light as one."""
    return replace(gaussians, opacities=1 - (1 - gaussians.opacities) ** share)


@torch.no_grad()
def psnr_by_gaussians(
    model: ILRM, batch: Batch, chosen: Sequence[int], share: float
) -> dict[str, float]:
    """PSNR in dB, mean over the targets of one scene, by the Gaussians that are drawn.

    All views of the batch attend to each other. `chosen`: as many of them as the model had in training.
    `share`: of `thinned`.
    """
    views = batch.inputs.images.shape[1]
    was_training = model.training
    gaussians = model.eval()(batch.inputs)
    model.train(was_training)
    drawn = {
        ALL: gaussians,
        SOME: of_views(gaussians, views, chosen),
        THINNED: thinned(gaussians, share),
    }
    targets = batch.targets
    return {
        name: float(metrics.psnr(render(g, targets.cameras).images[0], targets.images[0]).mean())
        for name, g in drawn.items()
    }
