"""Loading of captures and weights, with the number and size of the input views."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from ilrm.config import check_views
from ilrm.data.framing import Framing
from ilrm.data.scene import Scene
from ilrm.data.sources.captures import read_capture
from ilrm.errors import ConfigError
from ilrm.evaluation.layers import median_scene
from ilrm.reconstruction.predict import framing_of, reconstruct
from ilrm.system.distributed import processes
from ilrm.views import EvaluationScene
from ilrm.weights.state import Weights, read_weights


def open_capture(
    capture: str | Path, weights: str | Path, views: int | None, size: str | None, images: str = ""
) -> tuple[Scene, Weights, int, Framing]:
    """Return the capture, the weights on their device, the number of input views and their size.

    Raises whatever reading the capture and the weights raises, and ConfigError on fewer than two views.
    """
    if views is not None:
        check_views("views", views)
    scene = read_capture(capture, images)
    loaded = read_weights(weights)
    loaded.model.to(processes().device)
    framing = framing_of(scene, loaded, size)
    return scene, loaded, views or loaded.config.data.context_views, framing


@torch.no_grad()
def capture_scene(
    capture: str | Path, weights: str | Path, views: int | None, size: str | None
) -> EvaluationScene:
    """A capture as an evaluation scene, with the input views of a reconstruction and the held-out frames.

    Raises whatever `open_capture` raises.
    """
    scene, loaded, count, framing = open_capture(capture, weights, views, size)
    reconstruction = reconstruct(scene, loaded, count, framing)
    return EvaluationScene(scene.key, tuple(reconstruction.targets), reconstruction.batch, None)


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
