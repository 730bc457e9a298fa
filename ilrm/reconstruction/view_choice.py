"""Choice of the input views of a capture, and of the held-out frames on which the result is measured."""

from dataclasses import dataclass

from ilrm.data.frames.neighbourhood import (
    Connections,
    Neighbourhood,
    connections,
    cover,
    neighbourhood,
)
from ilrm.data.frames.view_selection import FullCoverage
from ilrm.data.scene import Scene
from ilrm.errors import ConfigError
from ilrm.ranges import VIEW_CHOICES, ViewChoice


@dataclass(frozen=True)
class Chosen:
    """Frame numbers, in the order of the capture."""

    inputs: list[int]
    targets: list[int]  # held out
    frames: list[int]  # all frames of the part of the capture
    about: str  # one line that describes the part of the capture


def choose_views(
    scene: Scene, views: int, choice: ViewChoice = "near", around: int | None = None
) -> Chosen:
    """Choose views of one part of a capture.

    "near": views near each other, around a frame if one is given (`ilrm.data.frames.neighbourhood`);
    "kmeans" and "even": spread over the whole capture with every 8th frame held out, as in the paper's
    wide-coverage protocol. Raises ConfigError, TooFewFramesError.
    """
    if choice not in VIEW_CHOICES:
        raise ConfigError(f"choice={choice!r}: give one of {', '.join(VIEW_CHOICES)}")
    if choice == "near":
        links = connections(scene)
        return _described(scene, links, neighbourhood(scene, views, links, around))
    if around is not None:
        raise ConfigError(
            f"choice={choice!r} spreads views over the whole capture: leave out around"
        )
    inputs, targets = FullCoverage(views, choice).frames(scene)
    about = f"{len(inputs)} input views spread over all {len(scene)} frames"
    return Chosen(inputs, targets, list(range(len(scene))), about)


def choose_parts(scene: Scene, views: int) -> list[Chosen]:
    """Views of several parts that together hold every frame of a capture. Raises TooFewFramesError."""
    links = connections(scene)
    return [_described(scene, links, part) for part in cover(scene, views, links)]


def _described(scene: Scene, links: Connections, part: Neighbourhood) -> Chosen:
    widest = float(links.parallax[part.centre, part.frames].max())
    about = (
        f"{len(part.frames)} of {len(scene)} frames, near {scene.names[part.centre]} (within {widest:.0f} "
        f"degrees): {len(part.inputs)} input views, {len(part.targets)} held out"
    )
    return Chosen(part.inputs, part.targets, part.frames, about)
