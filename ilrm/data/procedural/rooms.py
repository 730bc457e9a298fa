"""Random rooms: walls, floor and ceiling, furniture-like solids, pictures on the walls, a light.

Sizes are metric and typical of real rooms, so that monocular regularities (eye height, level floor,
upright objects) hold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ilrm.data.procedural.raytrace import BOX, CYLINDER, MATERIAL, SOLID, SPHERE
from ilrm.data.procedural.textures import NOISES, SIDE

Array = NDArray[np.float64]
CLEARANCE = 0.45  # metres between a camera's path and a solid that reaches its height


@dataclass(frozen=True)
class Room:
    """Geometry, materials and light that raytrace.render_room renders."""

    size: Array  # [3] x, height, z in metres; x and z are centred on 0, y runs from -height (ceiling) to 0
    solids: NDArray[np.void]  # [K] SOLID
    materials: NDArray[np.void]  # [6 + K] MATERIAL
    light: Array  # [3]


def room_size(rng: np.random.Generator) -> Array:
    """Extents [3] in metres: sides 4 to 8, height 2.4 to 3.2."""
    return np.array([rng.uniform(4, 8), rng.uniform(2.4, 3.2), rng.uniform(4, 8)])


def _colours(
    rng: np.random.Generator, contrast: float, dark: float, colour: float
) -> tuple[Array, Array]:
    """Base colour [3], and the matrix [3, 3] that rotates a texture's hue and changes its saturation.

    Surfaces are dark (with probability `dark`) or bright, so that neighbours differ strongly.
    """
    level = rng.uniform(0.04, 0.3) if rng.random() < dark else rng.uniform(0.6, 0.95)
    # green is rarer in rooms
    tint = rng.normal(0, 1, 3) * [1.3, 0.6, 1.1] * rng.uniform(0.02, colour)
    base = np.clip(level + tint - tint.mean(), 0.02, 1.0)
    turn = rng.normal(0, 0.5)
    grey = np.full((3, 3), 1 / 3)
    skew = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    rotation = np.cos(turn) * (np.eye(3) - grey) + np.sin(turn) * skew
    return base, contrast * (grey + rng.uniform(0.3, 1.4) * rotation)


def random_material(
    rng: np.random.Generator,
    photographs: int,
    extent: tuple[float, float],
    contrast: tuple[float, float],
    dark: float,
    colour: float,
) -> NDArray[np.void]:
    """One MATERIAL record: a photograph or a noise, mixed with a second, broader noise.

    photographs: number of bank layers that are photographs; extent: range of metres that one bank image
    covers; contrast: range of the standard deviation of the colour; dark: probability of a dark
    surface; colour: largest standard deviation of the base colour's channels.
    """
    m = np.zeros((), MATERIAL)
    noise = photographs + rng.integers(0, NOISES, 2)
    m["layer"] = (noise[0] if rng.random() < 0.25 else rng.integers(photographs), noise[1])
    metres = np.exp(rng.uniform(*np.log(extent)))
    m["scale"] = SIDE / metres, SIDE / (metres * rng.uniform(1.5, 3))
    share = rng.uniform(0.3, 0.8)
    m["weight"] = np.sqrt(1 - share**2), share
    angle = rng.choice([0, np.pi / 2, np.pi, rng.uniform(0, 2 * np.pi)], p=[0.6, 0.1, 0.1, 0.2])
    m["cos"], m["sin"] = np.cos(angle), np.sin(angle)
    m["shift"] = rng.uniform(0, 2 * SIDE, 2)
    m["base"], m["matrix"] = _colours(rng, rng.uniform(*contrast), dark, colour)
    return m


def upright_solid(kind: int, centre: Array, half: Array, yaw: float) -> NDArray[np.void]:
    """One SOLID record, rotated by `yaw` radians about the vertical."""
    s = np.zeros((), SOLID)
    s["kind"], s["centre"], s["half"] = kind, centre, half
    s["cos"], s["sin"] = np.cos(yaw), np.sin(yaw)
    return s


def random_shape(rng: np.random.Generator, low: float, high: float) -> tuple[int, Array]:
    """A solid's kind and half extents [3]; low and high bound its width in metres."""
    kind = int(rng.choice([BOX, SPHERE, CYLINDER], p=[0.6, 0.2, 0.2]))
    a, b, c = rng.uniform(low, high, 3) / 2
    if kind == SPHERE:
        return kind, np.array([a, a, a])
    tall = c * rng.uniform(0.6, 2.2)
    return kind, np.array([a, tall, a if kind == CYLINDER else b])


def on_wall(rng: np.random.Generator, size: Array, half: Array, bottom: float) -> NDArray[np.void]:
    """A box of half extents [along the wall, up, out of the wall] against a random wall, its lower side
    `bottom` metres above the floor.
    """
    wall = rng.integers(4)
    across, out = (0, 2) if wall < 2 else (2, 0)
    centre = np.zeros(3)
    centre[across] = rng.uniform(-1, 1) * max(size[across] / 2 - half[0], 0)
    centre[out] = (size[out] / 2 - half[2]) * (1 if wall % 2 else -1)
    centre[1] = -bottom - half[1]
    return upright_solid(BOX, centre, half if wall < 2 else half[[2, 1, 0]], 0.0)


def reach(solid: NDArray[np.void]) -> float:
    """Radius of the circle around a solid in the floor plan, in metres."""
    h = solid["half"]
    return float(np.hypot(h[0], h[2]) if solid["kind"] == BOX else h[0])


def _clear(
    solid: NDArray[np.void], cameras: Array, others: list[NDArray[np.void]], size: Array
) -> bool:
    """Whether a solid is inside the room, clear of the cameras [N, 3], and not inside another solid."""
    c, r = solid["centre"], reach(solid)
    if (np.abs(c[[0, 2]]) + 0.8 * r > size[[0, 2]] / 2).any():
        return False
    # reaches the lowest camera's height
    above = c[1] - solid["half"][1] < cameras[:, 1].max() + 0.25
    gap = np.hypot(*(cameras - c)[:, [0, 2]].T).min() - r
    if gap < (CLEARANCE if above else 0.0):
        return False
    return all(
        np.hypot(*(o["centre"] - c)[[0, 2]]) > 0.85 * (reach(o) + r)
        for o in others
        if o["half"][2] > 0.05
    )


def random_room(rng: np.random.Generator, size: Array, c2w: Array, photographs: int) -> Room:
    """A room of extents size [3] furnished in view of the cameras c2w [N, 4, 4].

    photographs: number of the texture bank's layers that are photographs (see textures.texture_bank).
    """
    cameras = c2w[:, :3, 3]
    solids: list[NDArray[np.void]] = []
    for _ in range(rng.integers(3, 7)):  # cupboards and shelves
        half = np.array([rng.uniform(0.4, 1.6), rng.uniform(0.4, 2.0), rng.uniform(0.3, 0.6)]) / 2
        solid = on_wall(
            rng, size, half, bottom=rng.choice([0.0, rng.uniform(0.9, 1.5)], p=[0.8, 0.2])
        )
        gap = np.abs(cameras - solid["centre"]) - solid["half"]
        if (gap.max(1) > CLEARANCE).all():
            solids.append(solid)
    for _ in range(rng.integers(12, 20)):  # things standing on the floor in view of some camera
        kind, half = random_shape(rng, 0.3, 1.1)
        camera = c2w[rng.integers(len(c2w))]
        bearing, distance = rng.uniform(-0.6, 0.6), rng.uniform(1.0, 5.0)
        spot = camera[:3, 3] + distance * (camera[:3, 2] + np.tan(bearing) * camera[:3, 0])
        solid = upright_solid(
            kind, np.array([spot[0], -half[1], spot[2]]), half, rng.uniform(0, np.pi)
        )
        if not _clear(solid, cameras, solids, size):
            continue
        solids.append(solid)
        if kind != SPHERE and rng.random() < 0.5:  # and something on top of it
            kind, top = random_shape(rng, 0.15, 0.5)
            top = (
                np.minimum(top, half[0])
                if kind == SPHERE
                else np.minimum(top, [half[0], 9, half[2]])
            )
            above = np.array([spot[0], -2 * half[1] - top[1], spot[2]])
            small = upright_solid(kind, above, top, rng.uniform(0, np.pi))
            if _clear(small, cameras, [], size):
                solids.append(small)
    for _ in range(rng.integers(3, 8)):  # pictures, doors and windows
        half = np.array([rng.uniform(0.4, 1.6), rng.uniform(0.4, 1.3), 0.05]) / 2
        solids.append(
            on_wall(rng, size, half, bottom=rng.uniform(0.8, size[1] - 2 * half[1] - 0.2))
        )

    surfaces = [
        random_material(rng, photographs, (2.5, 6), (0.1, 0.22), dark, colour=0.15)
        for dark in (0.25, 0.25, 0.1, 0.6, 0.25, 0.25)  # walls, ceiling, floor, walls
    ]
    if rng.random() < 0.6:  # the same wallpaper on all four walls
        for face in (1, 4, 5):
            surfaces[face] = surfaces[0].copy()
            surfaces[face]["shift"] = rng.uniform(0, 2 * SIDE, 2)
    things = [
        random_material(rng, photographs, (0.8, 2.5), (0.1, 0.3), 0.6, colour=0.24) for _ in solids
    ]
    materials = surfaces + things
    light = np.array(
        [rng.uniform(-0.4, 0.4) * size[0], -0.9 * size[1], rng.uniform(-0.4, 0.4) * size[2]]
    )
    return Room(size, np.array(solids, SOLID), np.array(materials, MATERIAL), light)
