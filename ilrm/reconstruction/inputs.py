"""What works on a capture starts with: its folder, weights, the input views and their size."""

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
    """The capture, the weights on their device, the number of input views and their size. Raises what
    reading the two raises, and ConfigError on fewer than two views.
    """
    if views is not None:
        check_views("views", views)
    scene = read_capture(capture, images)
    read = read_weights(weights)
    read.model.to(processes().device)
    framing = framing_of(scene, read, size)
    return scene, read, views or read.config.data.context_views, framing


@torch.no_grad()
def capture_scene(
    capture: str | Path, weights: str | Path, views: int | None, size: str | None
) -> EvaluationScene:
    """A capture's inputs, chosen as for a reconstruction, and its held-out frames. Raises what `open_capture`
    raises.
    """
    scene, read, count, framing = open_capture(capture, weights, views, size)
    found = reconstruct(scene, read, count, framing)
    return EvaluationScene(scene.key, tuple(found.targets), found.batch, None)


def chosen(
    scenes: Sequence[EvaluationScene], number: int | None, quality: pd.DataFrame
) -> EvaluationScene:
    """A scene by its place; None: the median one by the scenes' `layer_quality`. Raises ConfigError."""
    if number is None:
        return median_scene(scenes, quality)
    if not 0 <= number < len(scenes):
        raise ConfigError(f"room={number}: there are {len(scenes)}, 0 to {len(scenes) - 1}")
    return scenes[number]
