"""Frames of a capture that see the same part of the scene.

A model that reconstructs in one forward pass can only combine what its input views share. A few views spread
over a whole capture share little; a neighbourhood is a frame with those that see most of what it sees, from
directions that are not too different.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras, normalization
from ilrm.data.frames.view_selection import HOLD_OUT, kmeans_views, view_features
from ilrm.data.framing import Framing
from ilrm.data.scene import Scene, Scenes
from ilrm.errors import ConfigError, TooFewFramesError
from ilrm.fields import shown
from ilrm.planes import COARSE, inverse_depths, plane_errors
from ilrm.views import Views

OVERLAP = 0.5  # least share of a frame's image that another frame of its neighbourhood sees
PARALLAX = 30.0  # degrees: widest angle between two cameras, seen from the point that they look at
MOST = 1_000  # frames that are compared with each other
FEWEST = 3  # frames: two inputs and one that is held out
PROBES = 8  # frames at which the depth is measured
PROBE_RANKS = (2, 4, 6)  # their partners, by rank of nearness
GRID = 8  # points along each side of a frame's image whose visibility in other frames is tested
FEWEST_POINTS = 20  # least structure-from-motion points per image for an estimate of its depth


@dataclass(frozen=True)
class Neighbourhood:
    """A connected part of a capture, with the views to reconstruct it from and those to check it with."""

    centre: int
    frames: list[int]  # all near frames, in the order of the capture
    inputs: list[int]
    targets: list[int]  # held out


@dataclass(frozen=True)
class Connections:
    """Overlap and parallax of the frames of a capture, from their cameras and a rough depth of each."""

    overlap: Float[np.ndarray, "N N"]  # share of frame i's image that frame j sees
    parallax: Float[np.ndarray, "N N"]  # degrees, at the point in the middle of frame i

    def near(self, frame: int) -> np.ndarray:
        """Frames in the neighbourhood of a frame, including itself, largest overlap first."""
        shared = np.minimum(self.overlap[frame], self.overlap[:, frame])
        angle = np.maximum(self.parallax[frame], self.parallax[:, frame])
        shared[frame], angle[frame] = 1.0, 0.0
        order = np.lexsort((angle, -shared))
        return order[(shared[order] >= OVERLAP) & (angle[order] <= PARALLAX)]

    def closest(self, frame: int, count: int) -> np.ndarray:
        """The `count` frames that share most with a frame, even if they share too little."""
        shared = np.minimum(self.overlap[frame], self.overlap[:, frame])
        shared[frame] = 1.0
        return np.argsort(-shared, kind="stable")[:count]


def connections(scene: Scene) -> Connections:
    """Overlap and parallax of all pairs of frames. Decodes a few frames where the capture has no points."""
    c2w = scene.c2w.double()
    depths = frame_depths(scene)
    size = torch.tensor(scene.sizes, dtype=torch.double).flip(1)  # [N, 2] width, height
    focal, centre = scene.fxfycxcy.double().split(2, -1)
    steps = (torch.arange(GRID, dtype=torch.double) + 0.5) / GRID
    share = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(-1, 2)  # [P, 2]
    w2c = torch.linalg.inv(c2w)
    overlap = []
    for i, depth in enumerate(depths):  # frame by frame, so that memory grows with N only
        rays = (share * size[i] - centre[i]) / focal[i]  # [P, 2]
        local = torch.cat([rays, torch.ones_like(rays[:, :1])], -1) * depth
        world = local @ c2w[i, :3, :3].mT + c2w[i, :3, 3]  # [P, 3]
        seen = world @ w2c[:, :3, :3].mT + w2c[:, None, :3, 3]  # [N, P, 3]
        z = seen[..., 2:].clamp(min=1e-9)
        pixels = seen[..., :2] / z * focal[:, None] + centre[:, None]  # [N, P, 2]
        inside = (seen[..., 2] > 0) & (pixels >= 0).all(-1) & (pixels < size[:, None]).all(-1)
        overlap.append(inside.double().mean(-1))
    middle = c2w[:, :3, 3] + depths[:, None] * c2w[:, :3, 2]  # [N, 3]
    to_cameras = torch.nn.functional.normalize(c2w[None, :, :3, 3] - middle[:, None], dim=-1)
    own = to_cameras.diagonal().T  # [N, 3]: from the point back to frame i
    cosine = (to_cameras * own[:, None]).sum(-1).clamp(-1, 1)
    return Connections(torch.stack(overlap).numpy(), torch.rad2deg(torch.acos(cosine)).numpy())


def frame_depths(scene: Scene) -> Float[Tensor, " N"]:
    """Rough depth of each frame, in world units: the median of its structure-from-motion points, else the
    depth of the plane on which the nearest of `PROBES` frames and its neighbours agree best.
    """
    if scene.points is not None and (medians := _depths_of_points(scene)) is not None:
        return medians
    features = view_features(scene.c2w)
    probes = np.unique(np.linspace(0, len(scene) - 1, PROBES).round().astype(int))
    depths = np.array([_plane_depth(scene, int(probe), features) for probe in probes])
    known = depths > 0
    if not known.any():
        extent = (scene.c2w[:, :3, 3] - scene.c2w[:, :3, 3].mean(0)).abs().max()
        return torch.full((len(scene),), max(float(extent), 1e-6), dtype=torch.double)
    apart = np.linalg.norm(features[:, None] - features[probes[known]], axis=-1)  # [N, probes]
    return torch.from_numpy(depths[known][apart.argmin(1)])


def _depths_of_points(scene: Scene) -> Tensor | None:
    """Median depth of the points inside each image; None if an image has few."""
    assert scene.points is not None
    points = scene.points.positions.double()
    w2c = torch.linalg.inv(scene.c2w.double())
    medians = []
    for i, (height, width) in enumerate(scene.sizes):
        local = points @ w2c[i, :3, :3].T + w2c[i, :3, 3]
        local = local[local[:, 2] > 0]
        focal, centre = scene.fxfycxcy[i].double().split(2)
        pixels = local[:, :2] / local[:, 2:] * focal + centre
        inside = (pixels >= 0).all(-1) & (pixels < pixels.new_tensor([width, height])).all(-1)
        if inside.sum() < FEWEST_POINTS:
            return None
        medians.append(local[inside, 2].median())
    return torch.stack(medians)


def _plane_depth(scene: Scene, frame: int, features: np.ndarray) -> float:
    """Depth of the plane on which a frame and some neighbours agree best; 0 if their cameras coincide."""
    order = np.argsort(np.linalg.norm(features - features[frame], axis=1), kind="stable")
    group = [frame] + [int(order[rank]) for rank in PROBE_RANKS if rank < len(order)]
    if len(group) < 2:
        return 0.0
    height, width = scene.sizes[frame]
    factor = COARSE / min(height, width)
    framing = Framing(round(height * factor), round(width * factor))
    images, fxfycxcy = scene.frames(group, framing)
    cameras = Cameras.from_fxfycxcy(fxfycxcy.double(), scene.c2w[group], *images.shape[-2:])[None]
    to_scene = normalization(cameras)
    if float((cameras.c2w[0, :, :3, 3] - cameras.c2w[0, 0, :3, 3]).abs().max()) < 1e-9:
        return 0.0
    errors = plane_errors(Views(images[None], to_scene(cameras).float()))
    depth = 1 / inverse_depths()[errors.argmin()]
    return float(depth / to_scene.scale[0])


def compared(scene: Scene, keep: int | None = None) -> list[int]:
    """The frames of a capture among which neighbourhoods are searched: all, or, if there are more than
    `MOST`, every n-th in the order in which they were taken, and the frame `keep`; a line says so.
    """
    every = math.ceil(len(scene) / MOST)
    if every == 1:
        return list(range(len(scene)))
    chosen = {*scene.sequence[::every], *([] if keep is None else [keep])}
    print(
        f"capture {scene.key}: of its {len(scene)} frames, {len(chosen)} are used, about 1 in {every}; "
        "reconstruct --frames A:B reads a part of it"
    )
    return sorted(chosen)


def neighbourhood(
    scene: Scene, views: int, links: Connections, around: int | None = None
) -> Neighbourhood:
    """The neighbourhood of the frame `around`, by default of the frame with most neighbours.

    Raises TooFewFramesError on a capture of fewer than three frames.
    """
    _check_frames(scene)
    if around is None:
        around = max(range(len(scene)), key=lambda i: (len(links.near(i)), -i))
    return _filled(scene, views, links, around)


def cover(scene: Scene, views: int, links: Connections) -> list[Neighbourhood]:
    """Neighbourhoods that together contain every frame, chosen greedily by the number of frames they add.
    Every 8th frame of the capture is held out of all of them.

    Raises TooFewFramesError on a capture of fewer than three frames.
    """
    _check_frames(scene)
    near = [set(links.near(i).tolist()) for i in range(len(scene))]
    held = _held_out(range(len(scene)))
    left = set(range(len(scene)))
    parts = []
    while left:
        centre = max(sorted(left), key=lambda i: len(near[i] & left))
        part = _filled(scene, views, links, centre, held)
        parts.append(part)
        left -= set(part.frames) | {centre}
    return parts


def _check_frames(scene: Scene) -> None:
    if len(scene) < FEWEST:
        raise TooFewFramesError(
            f"scene {scene.key} has {len(scene)} frames: need at least {FEWEST}, two input views and one "
            "that is held out"
        )


def _filled(
    scene: Scene,
    views: int,
    links: Connections,
    centre: int,
    held: Sequence[int] | None = None,
) -> Neighbourhood:
    """The neighbourhood of a frame with its views; if too few frames are near, the closest are taken.

    `held`: frames that are held out of the whole capture; by default frames of the neighbourhood are held
    out.
    """
    near = links.near(centre)
    if len(near) < FEWEST + 1:
        near = links.closest(centre, FEWEST + 1)
    frames = sorted(near.tolist())
    if held is None:
        targets = _held_out(frames)
    else:
        order = links.closest(centre, len(scene)).tolist()
        targets = [f for f in frames if f in held] or [next(f for f in order if f in held)]
    others = [frame for frame in frames if frame not in targets]
    inputs = others
    if len(others) > views:
        inputs = [others[i] for i in kmeans_views(scene.c2w[others], views)]
    return Neighbourhood(centre, frames, inputs, targets)


def _held_out(frames: Sequence[int]) -> list[int]:
    """Every 8th frame, from the 4th on, so that it lies between inputs; the middle one if there are few."""
    if len(frames) <= HOLD_OUT:
        return [frames[len(frames) // 2]]
    return list(frames[HOLD_OUT // 2 :: HOLD_OUT])


@dataclass(frozen=True)
class LocalCoverage:
    """The selection of `neighbourhood`: inputs near each other instead of spread over a whole capture."""

    views: int
    around: int | None = None

    def keys(self, scenes: Scenes) -> list[str]:
        return scenes.keys

    def frames(self, scene: Scene) -> tuple[list[int], list[int]]:
        frames = compared(scene, self.around)
        part = scene.part(frames)
        around = None if self.around is None else frames.index(self.around)
        chosen = neighbourhood(part, self.views, connections(part), around)
        return [frames[i] for i in chosen.inputs], [frames[i] for i in chosen.targets]


def frame_number(scene: Scene, text: str) -> int:
    """A frame by its name, with or without folder and suffix, or by its number. Raises ConfigError."""
    matching = [i for i, name in enumerate(scene.names) if name == text]
    if not matching:
        paths = map(PurePosixPath, scene.names)
        matching = [i for i, path in enumerate(paths) if text in (path.name, path.stem)]
    if len(matching) == 1:
        return matching[0]
    if not matching and text.isdecimal() and int(text) < len(scene):
        return scene.sequence[int(text)]
    problem = f"is the name of {len(matching)} frames" if matching else "is not a frame"
    raise ConfigError(
        f"{shown(text)} {problem} of {scene.key}: give a number from 0 to {len(scene) - 1} or a name, for "
        f"example {scene.names[0]}"
    )


def frame_range(scene: Scene, text: str) -> Scene:
    """The frames A:B of a scene, in the order in which they were taken; as in Python, B is not included."""
    first, colon, last = text.partition(":")
    try:
        start, stop, _ = slice(int(first or 0), int(last) if last else None).indices(len(scene))
        if not colon or stop - start < FEWEST:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"frames={shown(text)}: give A:B, at least {FEWEST} of the {len(scene)} frames of {scene.key}"
        ) from None
    return scene.part(sorted(scene.sequence[start:stop]))
