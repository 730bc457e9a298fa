"""Selection of the input and target views of a capture from the camera poses alone."""

import warnings
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ilrm.data.scene import Scene, Scenes
from ilrm.errors import TooFewFramesError

HOLD_OUT = 8  # every 8th frame is a target
Spreading = Literal["kmeans", "even"]


class Selection(Protocol):
    """The evaluated scenes of a dataset and the input and target views of each."""

    def keys(self, scenes: Scenes) -> list[str]:
        """The scenes to evaluate."""

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        """Input and target frame numbers. Raises DataError, TooFewFramesError."""


def view_features(c2w: Tensor) -> np.ndarray:
    """Position and viewing direction of cameras [N, 4, 4], as [N, 6].

    Positions are centred and divided by their largest coordinate, to give them the weight of directions.
    """
    position = c2w[:, :3, 3] - c2w[:, :3, 3].mean(0)
    position = position / position.abs().max().clamp(min=1e-9)
    return torch.cat([position, c2w[:, :3, 2]], 1).double().numpy()


def kmeans_views(c2w: Tensor, views: int) -> list[int]:
    """Choose `views` of the cameras [N, 4, 4]: the nearest camera to each centre of a K-means clustering of
    positions and directions, with random state 0 (supplementary, wide coverage). Raises TooFewFramesError.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    _check_enough(len(c2w), views)
    features = view_features(c2w)
    with warnings.catch_warnings():  # warns of repeated cameras, which are handled below
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = KMeans(views, n_init=10, random_state=0).fit(features)
    distances = np.linalg.norm(features[:, None] - clusters.cluster_centers_[None], axis=-1)
    chosen: list[int] = []
    for column in distances.T:  # with repeated poses, one camera may be nearest to two centres
        order = np.argsort(column, kind="stable")
        chosen.append(next(int(i) for i in order if i not in chosen))
    return sorted(chosen)


def farthest_views(
    c2w: Tensor, views: int, rng: np.random.Generator, among: list[int] | None = None
) -> list[int]:
    """Choose `views` of the cameras [N, 4, 4] by farthest-point sampling of their positions from a random
    start (supplementary, DL3DV training). `among`: only these frames. Raises TooFewFramesError.
    """
    frames = list(range(len(c2w))) if among is None else among
    _check_enough(len(frames), views)
    positions = c2w[frames, :3, 3].double().numpy()
    chosen = [int(rng.integers(len(frames)))]
    nearest = np.full(len(frames), np.inf)
    while len(chosen) < views:
        nearest = np.minimum(nearest, np.linalg.norm(positions - positions[chosen[-1]], axis=1))
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return sorted(frames[i] for i in chosen)


def even_views(frames: int, views: int) -> list[int]:
    """Choose `views` of `frames` frames, evenly spaced, both ends included. Raises TooFewFramesError."""
    _check_enough(frames, views)
    return [round(i * (frames - 1) / max(views - 1, 1)) for i in range(views)]


def _check_enough(frames: int, views: int) -> None:
    if views > frames:
        raise TooFewFramesError(
            f"{views} views requested from {frames} frames: use fewer views or more frames"
        )


@dataclass(frozen=True)
class FullCoverage:
    """Every 8th frame is a target; input views are chosen from the others, in Tables 5, 10, 13 by K-means."""

    views: int
    choice: Spreading = "kmeans"

    def keys(self, scenes: Scenes) -> list[str]:
        return scenes.keys

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        others = [i for i in range(len(scene)) if i % HOLD_OUT]
        if self.views > len(others):
            raise TooFewFramesError(
                f"scene {scene.key}: {self.views} views requested from {len(others)} frames ({len(scene)}, "
                f"every {HOLD_OUT}th of them held out): use fewer views or more frames"
            )
        if self.choice == "kmeans":
            chosen = kmeans_views(scene.c2w[others], self.views)
        else:
            others = [i for i in scene.sequence if i % HOLD_OUT]
            chosen = even_views(len(others), self.views)
        return sorted(others[i] for i in chosen), list(range(0, len(scene), HOLD_OUT))
