"""Reconstruction of a capture, or of a part of it, from chosen input views."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ilrm.cameras import Cameras
from ilrm.data.batches import to_batch
from ilrm.data.dataset import example
from ilrm.data.framing import Framing, parse_size
from ilrm.data.scene import Scene
from ilrm.errors import ConfigError
from ilrm.gaussians import Gaussians
from ilrm.ranges import OPTIONS, check_option
from ilrm.reconstruction.optimization import refine
from ilrm.reconstruction.view_choice import Chosen
from ilrm.views import Batch, EvaluationScene
from ilrm.weights.state import Weights


@dataclass(frozen=True)
class Reconstruction:
    """The Gaussians of a capture and the views they were predicted from."""

    scene: Scene
    inputs: Sequence[int]  # frame numbers of the input views
    targets: Sequence[int]  # frame numbers of the held-out target views
    # all frames of the part that is reconstructed, inputs and targets among them
    frames: Sequence[int]
    batch: Batch  # B = 1, cameras normalised
    gaussians: Gaussians  # B = 1, in the coordinates of the batch
    parts: int = 1  # number of local reconstructions that were merged
    optimised: bool = False  # whether 3D-GS followed the prediction
    predicted: Gaussians | None = None  # before refinement and 3D-GS, if either was run

    @property
    def world_gaussians(self) -> Gaussians:
        """The Gaussians in the capture's world coordinates."""
        return self.gaussians.to_world(self.batch.normalization)

    @property
    def evaluation_scene(self) -> EvaluationScene:
        """The held-out views, on the device of the Gaussians."""
        batch = self.batch.to(self.gaussians.means.device)
        return EvaluationScene(self.scene.key, tuple(self.targets), batch, None)


@torch.no_grad()
def reconstruct(
    scene: Scene,
    weights: Weights,
    chosen: Chosen,
    framing: Framing,
    refinement_steps: int = 0,
) -> Reconstruction:
    """Predict Gaussians from the chosen input views, and refine them on these views for `refinement_steps`
    steps (iLRM_10: 10).

    Raises ConfigError, whatever decoding the frames raises, and ViewsError on image sizes that are not whole
    patches.
    """
    check_option("refine", refinement_steps)
    batch = chosen_batch(scene, weights, chosen, framing)
    inputs = batch.to(next(weights.model.parameters()).device).inputs
    gaussians, predicted = weights.model(inputs), None
    if refinement_steps:
        gaussians, predicted = refine(gaussians, inputs, refinement_steps), gaussians
    parts = chosen.inputs, chosen.targets, chosen.frames
    return Reconstruction(scene, *parts, batch, gaussians, predicted=predicted)


def chosen_batch(scene: Scene, weights: Weights, chosen: Chosen, framing: Framing) -> Batch:
    """Input and target views as the weights expect them. Raises whatever decoding the frames raises."""
    raw = example(scene, chosen.inputs, chosen.targets, framing)
    return to_batch(raw, weights.config.data.camera_scale)


def framing_of(scene: Scene, weights: Weights, size: str | None = None) -> Framing:
    """The image size for a capture: `size` ("HxW") if given, else about as many pixels as the weights were
    trained on, but no more than the frames have, with the frames' aspect ratio and in whole patches.

    Raises ConfigError on a size that is too small or not whole patches.
    """
    multiple = weights.config.model.size_multiple
    if size:
        return Framing(*parse_size(size, multiple))
    data = weights.config.data
    h, w = scene.sizes[0]
    pixels = min(data.image_height * data.image_width, h * w)
    sides = ((pixels * a / b) ** 0.5 for a, b in ((h, w), (w, h)))
    height, width = (max(1, round(side / multiple)) * multiple for side in sides)
    if min(height, width) < OPTIONS["side"].low:
        raise ConfigError(
            f"frames of {h}x{w} pixels give images of {height}x{width}: give --size, with sides of at least "
            f"{OPTIONS['side'].low} pixels"
        )
    return Framing(height, width)


def larger(cameras: Cameras, longest: int) -> Cameras:
    """The same cameras with images scaled to about `longest` pixels, with even height and width."""
    factor = longest / max(cameras.height, cameras.width)
    height, width = (2 * round(side * factor / 2) for side in (cameras.height, cameras.width))
    ratio = cameras.fxfycxcy.new_tensor([width / cameras.width, height / cameras.height] * 2)
    return replace(cameras, fxfycxcy=cameras.fxfycxcy * ratio, height=height, width=width)
