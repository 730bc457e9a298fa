"""Which views of a capture are inputs and which are targets, from the camera poses alone."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ilrm.data.scene import Scene, Scenes
from ilrm.errors import TooFewFramesError

HOLD_OUT = 8  # every 8th frame is a target
Choice = Literal["kmeans", "even"]


class Selection(Protocol):
    """The evaluated scenes of a data set, and the inputs and targets of each."""

    def keys(self, scenes: Scenes) -> list[str]:
        """The scenes to evaluate."""

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        """Input and target frames. Raises DataError, TooFewFramesError."""


def view_features(c2w: Tensor) -> np.ndarray:
    """Position and viewing direction of cameras [N, 4, 4], as [N, 6].

    Positions are centred and divided by their largest coordinate, so that they weigh like directions.
    """
    position = c2w[:, :3, 3] - c2w[:, :3, 3].mean(0)
    position = position / position.abs().max().clamp(min=1e-9)
    return torch.cat([position, c2w[:, :3, 2]], 1).double().numpy()


def kmeans_views(c2w: Tensor, views: int) -> list[int]:
    """`views` of the cameras [N, 4, 4] that cover all: K-means on position and direction, random state
    0, the camera nearest to each centre (supplementary, wide coverage). Raises TooFewFramesError.
    """
    from sklearn.cluster import KMeans

    _enough(len(c2w), views)
    features = view_features(c2w)
    clusters = KMeans(views, n_init=10, random_state=0).fit(features)
    distances = np.linalg.norm(features[:, None] - clusters.cluster_centers_[None], axis=-1)
    chosen: list[int] = []
    for column in distances.T:  # a camera may be nearest to two centres where poses repeat
        order = np.argsort(column, kind="stable")
        chosen.append(next(int(i) for i in order if i not in chosen))
    return sorted(chosen)


def farthest_views(
    c2w: Tensor, views: int, rng: np.random.Generator, among: list[int] | None = None
) -> list[int]:
    """`views` of the cameras [N, 4, 4] by farthest-point sampling of their positions, the first drawn
    (supplementary, DL3DV training). `among`: only these frames. Raises TooFewFramesError.
    """
    frames = list(range(len(c2w))) if among is None else among
    _enough(len(frames), views)
    positions = c2w[frames, :3, 3].double().numpy()
    chosen = [int(rng.integers(len(frames)))]
    nearest = np.full(len(frames), np.inf)
    while len(chosen) < views:
        nearest = np.minimum(nearest, np.linalg.norm(positions - positions[chosen[-1]], axis=1))
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return sorted(frames[i] for i in chosen)


def even_views(frames: int, views: int) -> list[int]:
    """`views` of so many frames, evenly spread, the ends included. Raises TooFewFramesError."""
    _enough(frames, views)
    return [round(i * (frames - 1) / max(views - 1, 1)) for i in range(views)]


def _enough(frames: int, views: int) -> None:
    if views > frames:
        raise TooFewFramesError(
            f"{views} views asked of {frames} frames: give fewer views or more frames"
        )


@dataclass(frozen=True)
class FullCoverage:
    """Every 8th frame is a target; the inputs cover the others, by K-means in Tables 5, 10 and 13."""

    views: int
    choice: Choice = "kmeans"

    def keys(self, scenes: Scenes) -> list[str]:
        return scenes.keys

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        others = [i for i in range(len(scene)) if i % HOLD_OUT]
        if self.views > len(others):
            raise TooFewFramesError(
                f"scene {scene.key}: {self.views} views asked of {len(others)} frames ({len(scene)}, every "
                f"{HOLD_OUT}th of them held out): give fewer views or more frames"
            )
        if self.choice == "kmeans":
            chosen = kmeans_views(scene.c2w[others], self.views)
        else:
            chosen = even_views(len(others), self.views)
        return [others[i] for i in chosen], list(range(0, len(scene), HOLD_OUT))
