"""Held-out photos beside the renders of baselines, which learn nothing, and of the model, and its depth."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ilrm.evaluation.baselines import nearest_view, plane_sweep, plane_warp
from ilrm.export.pictures import depth_image, depth_limits, stacked, strip, table, to_image
from ilrm.metrics import psnr
from ilrm.reconstruction.predict import Reconstruction
from ilrm.rendering import Rendering, render
from ilrm.views import Batch
from ilrm.vocabulary import METHODS

Images = Float[Tensor, "1 T 3 H W"]

REFINED, OPTIMISED = "refined", "3D-GS"  # steps that may follow the model
ROWS = 6  # largest number of held-out photos shown, evenly spaced


def stages(reconstruction: Reconstruction) -> dict[str, Rendering]:
    """Renders of the held-out views with depth, by title: of the model, then of the step that followed it."""
    gaussians = {METHODS["model"]: reconstruction.gaussians}
    if reconstruction.predicted is not None:
        last = OPTIMISED if reconstruction.optimised else REFINED
        gaussians = {METHODS["model"]: reconstruction.predicted, last: reconstruction.gaussians}
    cameras = reconstruction.evaluation_scene.batch.targets.cameras
    return {title: render(stage, cameras, depth=True) for title, stage in gaussians.items()}


@dataclass(frozen=True)
class Comparison:
    """The held-out photos of a batch (B = 1), renders of them by baselines and models, and depth maps."""

    batch: Batch
    images: Mapping[str, Images]  # by title
    depths: Float[Tensor, "1 T 1 H W"]

    @classmethod
    def of(cls, batch: Batch, plane: float, drawn: Mapping[str, Rendering]) -> "Comparison":
        """A copied photo, a plane warp (at this inverse depth) and sweep, the renders, the last depth."""
        images = {
            METHODS["nearest_view"]: nearest_view(batch),
            METHODS["plane_warp"]: plane_warp(batch, plane),
            METHODS["plane_sweep"]: plane_sweep(batch),
        }
        images |= {
            title: rendering.images.to(batch.targets.images) for title, rendering in drawn.items()
        }
        depths = list(drawn.values())[-1].depths
        assert depths is not None
        return cls(batch, images, depths.cpu())

    @property
    def psnr(self) -> dict[str, float]:
        """Mean PSNR in dB over all held-out photos, by title."""
        truth = self.batch.targets.images[0]
        return {title: float(psnr(drawn[0], truth).mean()) for title, drawn in self.images.items()}

    def draw(self) -> Image.Image:
        """Draw all input photos, and one row for each of at most ROWS held-out photos."""
        truth = self.batch.targets.images[0]
        shown = torch.linspace(0, len(truth) - 1, min(len(truth), ROWS)).round().int().tolist()
        limits = depth_limits(self.depths)
        columns = {"held-out photo": [to_image(truth[i]) for i in shown]}
        for title, value in self.psnr.items():
            columns[f"{title}\n{value:.1f} dB"] = [
                to_image(self.images[title][0, i]) for i in shown
            ]
        columns["depth\n(near is bright)"] = [
            depth_image(self.depths[0, i, 0], limits) for i in shown
        ]
        sheet = table(columns)
        inputs = [to_image(image) for image in self.batch.inputs.images[0]]
        return stacked(
            {
                f"{len(inputs)} input photos": strip(inputs, sheet.width),
                f"PSNR: mean over {len(truth)} held-out photos": sheet,
            }
        )
