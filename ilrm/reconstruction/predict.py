"""From a capture to a scene: choose views, predict Gaussians, render what was held out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch

from ilrm.cameras import Cameras
from ilrm.data.batches import to_batch
from ilrm.data.dataset import example
from ilrm.data.frames.view_selection import Choice, FullCoverage
from ilrm.data.framing import Framing, parse_size
from ilrm.data.scene import Scene
from ilrm.errors import ConfigError
from ilrm.gaussians import Gaussians
from ilrm.reconstruction.optimization import refine
from ilrm.views import Batch
from ilrm.weights.state import Weights


@dataclass(frozen=True)
class Reconstruction:
    """A capture's Gaussians and the views that they were made from."""

    scene: Scene
    inputs: Sequence[int]  # frame numbers
    targets: Sequence[int]  # held-out frames, as the batch's targets
    batch: Batch  # B = 1, cameras normalised
    gaussians: Gaussians  # B = 1, in the frame of the batch

    @property
    def world_gaussians(self) -> Gaussians:
        """The Gaussians in the capture's own world."""
        return self.gaussians.to_world(self.batch.normalization)


@torch.no_grad()
def reconstruct(
    scene: Scene,
    weights: Weights,
    views: int,
    framing: Framing,
    choice: Choice = "kmeans",
    refinement_steps: int = 0,
) -> Reconstruction:
    """Gaussians of a capture from `views` of its frames, refined on these by so many steps (iLRM_10: 10).

    Raises ConfigError, TooFewFramesError, what decoding the frames raises, and ViewsError for sizes without
    whole patches.
    """
    if refinement_steps < 0 or choice not in get_args(Choice):
        raise ConfigError(
            f"refine={refinement_steps}, choice={choice!r}: give 0 steps or more, and one of "
            f"{', '.join(get_args(Choice))}"
        )
    inputs, targets = FullCoverage(views, choice).frames(scene)
    raw = example(scene, inputs, targets, framing)
    batch = to_batch(raw, weights.config.data.camera_scale)
    device = next(weights.model.parameters()).device
    gaussians = weights.model(batch.to(device).inputs)
    if refinement_steps:
        gaussians = refine(gaussians, batch.to(device).inputs, refinement_steps)
    return Reconstruction(scene, inputs, targets, batch, gaussians)


def framing_of(scene: Scene, weights: Weights, size: str | None = None) -> Framing:
    """The image size for a capture: `size` ("HxW"), or as many pixels as the weights were trained on, if its
    frames have so many, in their shape and in whole patches. Raises ConfigError on a size without whole
    patches.
    """
    multiple = weights.config.model.size_multiple
    if size:
        return Framing(*parse_size(size, multiple))
    data = weights.config.data
    h, w = scene.sizes[0]
    pixels = min(data.image_height * data.image_width, h * w)
    sides = ((pixels * a / b) ** 0.5 for a, b in ((h, w), (w, h)))
    rounded = (max(1, round(side / multiple)) * multiple for side in sides)
    return Framing(*rounded)


def larger(cameras: Cameras, longest: int) -> Cameras:
    """The same cameras with images of even sides, about `longest` pixels long."""
    factor = longest / max(cameras.height, cameras.width)
    height, width = (2 * round(side * factor / 2) for side in (cameras.height, cameras.width))
    ratio = cameras.fxfycxcy.new_tensor([width / cameras.width, height / cameras.height] * 2)
    return replace(cameras, fxfycxcy=cameras.fxfycxcy * ratio, height=height, width=width)
