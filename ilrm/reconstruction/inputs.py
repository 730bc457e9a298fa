"""Loading of captures and weights, with the number and size of the input views."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ilrm.data.frames.neighbourhood import compared, frame_number, frame_range
from ilrm.data.framing import Framing
from ilrm.data.scene import Scene
from ilrm.data.sources.captures import read_capture
from ilrm.errors import ConfigError
from ilrm.evaluation.layers import median_scene
from ilrm.ranges import ViewChoice, check_option
from ilrm.reconstruction.merging import reconstruct_parts
from ilrm.reconstruction.predict import Reconstruction, chosen_batch, framing_of, reconstruct
from ilrm.reconstruction.view_choice import Chosen, choose_parts, choose_views
from ilrm.system.distributed import processes
from ilrm.views import EvaluationScene
from ilrm.weights.state import Weights, read_weights


@dataclass(frozen=True)
class Opened:
    """A capture, weights on their device, and the parts of the capture to reconstruct."""

    scene: Scene
    weights: Weights
    framing: Framing
    parts: list[Chosen]

    @property
    def about(self) -> str:
        """One line: the part of the capture, and the image size."""
        size = f"{self.framing.height}x{self.framing.width}"
        if len(self.parts) == 1:
            return f"{self.parts[0].about}, at {size}"
        views = sum(len(part.inputs) for part in self.parts)
        return f"all {len(self.scene)} frames in {len(self.parts)} parts of {views} input views, at {size}"

    def reconstruct(self, refinement_steps: int = 0) -> Reconstruction:
        """Reconstruct the part, or all parts and merge them. Raises what decoding the frames raises."""
        common = self.framing, refinement_steps
        if len(self.parts) == 1:
            return reconstruct(self.scene, self.weights, self.parts[0], *common)
        return reconstruct_parts(self.scene, self.weights, self.parts, *common)


def open_capture(
    capture: str | Path,
    weights: str | Path,
    views: int | None = None,
    size: str | None = None,
    images: str = "",
    choice: ViewChoice = "near",
    around: str | None = None,
    frames: str | None = None,
    everything: bool = False,
    colmap: str = "",
) -> Opened:
    """Open a capture and choose views, by default at most as many as the weights were trained with.

    `around`: number or name of the frame whose neighbourhood is reconstructed. `frames`: A:B, the part of the
    capture from which views are chosen. `everything`: reconstruct all frames, in several parts. `colmap`: the
    COLMAP model to read, such as sparse/1, instead of the one with most images. Raises whatever reading the
    capture and the weights raises, and ConfigError on values that do not fit.
    """
    check_option("views", views)
    if everything and (choice != "near" or around is not None):
        raise ConfigError("all frames are reconstructed in near parts: leave out choice and around")
    scene = read_capture(capture, images, model=colmap)
    if frames is not None:
        scene = frame_range(scene, frames)
    loaded = read_weights(weights)
    loaded.model.to(processes().device)
    framing = framing_of(scene, loaded, size)
    count = views or most_views(loaded)
    centre = None if around is None else frame_number(scene, around)
    if choice == "near" and len(some := compared(scene, centre)) < len(scene):
        centre = None if centre is None else some.index(centre)
        scene = scene.part(some)
    if everything:
        return Opened(scene, loaded, framing, choose_parts(scene, count))
    return Opened(scene, loaded, framing, [choose_views(scene, count, choice, centre)])


def most_views(weights: Weights) -> int:
    """The largest number of input views that the weights were trained with."""
    return weights.seen.views[1] if weights.seen else weights.config.data.context_views


def capture_scene(
    capture: str | Path, weights: str | Path, views: int | None, size: str | None
) -> EvaluationScene:
    """A capture as an evaluation scene, with the input views of a reconstruction and the held-out frames.

    Raises whatever `open_capture` raises.
    """
    opened = open_capture(capture, weights, views, size)
    (part,) = opened.parts
    batch = chosen_batch(opened.scene, opened.weights, part, opened.framing)
    return EvaluationScene(opened.scene.key, tuple(part.targets), batch, None)


def chosen(
    scenes: Sequence[EvaluationScene], number: int | None, quality: pd.DataFrame
) -> EvaluationScene:
    """Select a scene by its index, or for None the median one according to `layer_quality`.

    Raises ConfigError on an invalid index.
    """
    if number is None:
        return median_scene(scenes, quality)
    if not 0 <= number < len(scenes):
        raise ConfigError(
            f"room={number}: there are {len(scenes)}, give a number from 0 to {len(scenes) - 1}"
        )
    return scenes[number]
