"""Camera paths through a room: RE10K-like walks, wide-coverage tours and orbits.

World as in raytrace.py (y down, floor y = 0). Cameras are 1.2 to 1.8 m above the floor; the horizon is level
except for a small pitch and the sway of a hand, as in real walks.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MARGIN = 0.55  # metres between a camera and the walls
SIGHT = 1.8  # metres from every camera to the wall in front of it
MEAN_SIGHT = 2.7  # and its mean over the path
ORBITS = 60, 120, 330  # degrees of the orbits on which weights are measured


def poses(position: Array, yaw: Array, pitch: Array, roll: Array) -> Array:
    """Camera-to-world OpenCV matrices [N, 4, 4] from positions [N, 3] and angles [N] in radians.

    Yaw 0 looks along +z, positive yaw turns right, positive pitch looks down, roll turns about the
    view axis.
    """
    zero = np.zeros_like(yaw)
    forward = np.stack(
        [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1
    )  # [N, 3]
    level = np.stack([np.cos(yaw), zero, -np.sin(yaw)], -1)  # [N, 3]
    down = np.cross(forward, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    c2w = np.tile(np.eye(4), (len(yaw), 1, 1))
    c2w[:, :3] = np.stack([c * level + s * down, c * down - s * level, forward, position], -1)
    return c2w


def _sway(rng: np.random.Generator, time: Array, amplitude: float) -> Array:
    """Smooth wobble [N]: two slow sines."""
    phase, cycles = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.5, 1.5, 2)
    return amplitude * 0.5 * np.sin(2 * np.pi * cycles * time[:, None] + phase).sum(-1)


def _upright(rng: np.random.Generator, time: Array, plan: Array, yaw: Array) -> Array:
    """Poses [N, 4, 4] from a path in the floor plan [N, 2] (x, z) and yaw [N]; the rest is random."""
    eye = rng.uniform(1.25, 1.7) + _sway(rng, time, 0.05)
    pitch = rng.normal(0.06, 0.05) + _sway(rng, time, 0.02)
    position = np.stack([plan[:, 0], -eye, plan[:, 1]], -1)
    return poses(position, yaw + _sway(rng, time, 0.02), pitch, _sway(rng, time, 0.006))


def _sight(plan: Array, yaw: Array, size: Array) -> Array:
    """Distance [N] from each camera to the wall in front of it, in the floor plan."""
    direction = np.stack([np.sin(yaw), np.cos(yaw)], -1) + 1e-9  # [N, 2]
    wall = np.copysign(size[[0, 2]] / 2, direction)
    return ((wall - plan) / direction).min(-1)


def re10k_path(rng: np.random.Generator, frames: int, size: Array) -> Array:
    """A smooth walk of about 1.5 to 3.5 m with a pan, forwards, sideways or backwards; c2w [N, 4, 4]."""
    time = np.linspace(0, 1, frames)
    travel = rng.uniform(1.5, 3.3)
    kind = rng.choice(3, p=[0.5, 0.4, 0.1])
    gaze = (
        rng.normal(0, 0.3),
        rng.choice([-1, 1]) * rng.uniform(0.8, 1.9),
        np.pi + rng.normal(0, 0.3),
    )[kind]  # relative to the direction of travel
    bend, pan = rng.normal(0, 0.5), np.clip(rng.normal(0, 0.45), -0.9, 0.9)
    while True:  # the walk gets shorter with each attempt, so the loop ends
        course = rng.uniform(0, 2 * np.pi) + bend * (time - 0.5)
        plan = (
            np.cumsum(np.stack([np.sin(course), np.cos(course)], -1), 0) * travel / frames
        )  # [N, 2]
        free = size[[0, 2]] / 2 - MARGIN
        plan += rng.uniform(-free, free) - plan.mean(0)
        yaw = course + gaze + pan * (time - 0.5)
        sight = _sight(plan, yaw, size)
        if (np.abs(plan) < free).all() and sight.min() > SIGHT and sight.mean() > MEAN_SIGHT:
            return _upright(rng, time, plan, yaw)
        travel *= 0.99


def wide_path(rng: np.random.Generator, frames: int, size: Array) -> Array:
    """A tour of 200 to 340 degrees along an ellipse near the walls, looking inwards; c2w [N, 4, 4]."""
    return _around(rng, frames, size, (3.5, 6.0))


def arc_path(rng: np.random.Generator, frames: int, size: Array) -> Array:
    """An arc of 57 to 115 degrees of such a tour: wide baselines with large overlap; c2w [N, 4, 4]."""
    return _around(rng, frames, size, (1.0, 2.0))


def _around(
    rng: np.random.Generator, frames: int, size: Array, radians: tuple[float, float]
) -> Array:
    """Part of an ellipse near the walls, its angle drawn from a range; c2w [N, 4, 4]."""
    time = np.linspace(0, 1, frames)
    arc = rng.choice([-1, 1]) * rng.uniform(*radians)
    angle = rng.uniform(0, 2 * np.pi) + arc * time
    radius = (size[[0, 2]] / 2 - MARGIN) * rng.uniform(0.7, 1.0)
    plan = np.stack([np.sin(angle), np.cos(angle)], -1) * radius  # [N, 2]
    aim = rng.uniform(-0.3, 0.3, 2) * radius - plan
    yaw = np.arctan2(aim[:, 0], aim[:, 1]) + _sway(rng, time, 0.35)
    return _upright(rng, time, plan, np.unwrap(yaw))


def orbit_path(rng: np.random.Generator, frames: int, size: Array, degrees: float) -> Array:
    """An orbit of `degrees` about a point near the centre, at which all cameras look; c2w [N, 4, 4]."""
    free = float((size[[0, 2]] / 2 - MARGIN).min())
    centre = rng.uniform(-0.1, 0.1, 2) * free
    radius = rng.uniform(0.6, 0.8) * free
    return orbit(rng, frames, degrees, radius, np.array([centre[0], -0.7, centre[1]]))


def orbit(
    rng: np.random.Generator, frames: int, degrees: float, radius: float, target: Array
) -> Array:
    """Cameras on a circle of `radius` metres about a target [3], at eye height; c2w [N, 4, 4].

    Distance, aim and height sway as in a hand.
    """
    time = np.linspace(0, 1, frames)
    turn = rng.choice([-1, 1]) * np.radians(degrees)
    angle = rng.uniform(0, 2 * np.pi) + turn * time
    away = radius * (1 + _sway(rng, time, 0.08))
    eye = rng.uniform(1.25, 1.7) + _sway(rng, time, 0.05)
    position = target + away[:, None] * np.stack([np.sin(angle), 0 * angle, np.cos(angle)], -1)
    position[:, 1] = -eye
    toward = target - position
    yaw = np.arctan2(toward[:, 0], toward[:, 2]) + _sway(rng, time, 0.05)
    pitch = np.arctan2(toward[:, 1], np.hypot(toward[:, 0], toward[:, 2]))
    return poses(position, np.unwrap(yaw), pitch + _sway(rng, time, 0.03), _sway(rng, time, 0.01))


def mixed_path(rng: np.random.Generator, frames: int, size: Array) -> Array:
    """A tour in one scene of four, a walk in the others; c2w [N, 4, 4]."""
    return (wide_path if rng.random() < 0.25 else re10k_path)(rng, frames, size)


PATHS: dict[str, Callable[[np.random.Generator, int, Array], Array]] = {
    "re10k": re10k_path,
    "wide": wide_path,
    "mixed": mixed_path,
    "arc": arc_path,
    **{f"orbit{degrees}": partial(orbit_path, degrees=degrees) for degrees in ORBITS},
}
