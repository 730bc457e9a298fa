"""Outdoor scenes: ground, sky, buildings and trees around the objects that the cameras look at.

An outdoor scene is a room tens of metres wide, whose walls and ceiling are the sky.
"""

import numpy as np
from numpy.typing import NDArray

from ilrm.data.procedural.raytrace import BOX, CYLINDER, MATERIAL, SOLID, SPHERE
from ilrm.data.procedural.rooms import (
    CLEARANCE,
    Room,
    random_material,
    random_shape,
    reach,
    upright_solid,
)

Array = NDArray[np.float64]
Solids = list[NDArray[np.void]]
# brightness of a surface tens of metres from the light, relative to a surface in a room
FAR_FROM_LIGHT = 0.45


def outdoor_room(rng: np.random.Generator, c2w: Array, centre: Solids, photographs: int) -> Room:
    """Ground and sky with the solids of `centre`, and buildings, trees and smaller things around them.

    None of these is in the way of the cameras c2w [N, 4, 4] or inside another solid.
    """
    size = np.array([rng.uniform(30, 80), rng.uniform(15, 40), rng.uniform(30, 80)])
    cameras = c2w[:, :3, 3]
    solids = list(centre)
    materials = [
        random_material(rng, photographs, (0.6, 3.0), (0.1, 0.3), 0.4, colour=0.2) for _ in centre
    ]
    for draw in (
        *(_building for _ in range(rng.integers(2, 7))),
        *(_tree for _ in range(rng.integers(2, 8))),
        *(_small_thing for _ in range(rng.integers(4, 14))),
    ):
        extent, new = draw(rng, size, c2w)
        if not _is_free(new, cameras, solids):
            continue
        solids += new
        materials += [
            random_material(rng, photographs, extent, (0.05, 0.3), 0.4, colour=0.2) for _ in new
        ]
    ground = random_material(rng, photographs, (2.0, 8.0), (0.05, 0.25), 0.4, colour=0.15)
    sky = _sky(rng, photographs)
    faces = [sky, sky, sky, ground, sky, sky]
    light = np.array([rng.uniform(-8, 8), -rng.uniform(8, 14), rng.uniform(-8, 8)])
    surfaces = np.array([*faces, *materials], MATERIAL)
    surfaces["base"] /= FAR_FROM_LIGHT
    surfaces["matrix"] /= FAR_FROM_LIGHT
    return Room(size, np.array(solids, SOLID), surfaces, light)


def _sky(rng: np.random.Generator, photographs: int) -> NDArray[np.void]:
    """Material of the sky: blue to white, with faint clouds."""
    sky = random_material(rng, photographs, (10.0, 30.0), (0.01, 0.08), 0.0, colour=0.02)
    sky["layer"] = sky["layer"][1]  # noise only
    blue = rng.uniform(0, 1)
    sky["base"] = rng.uniform(0.75, 1.0) * np.array([1 - 0.45 * blue, 1 - 0.2 * blue, 1.0])
    return sky


def _is_free(new: Solids, cameras: Array, others: Solids) -> bool:
    """Whether solids are clear of the camera positions [N, 3] and not inside others."""
    for solid in new:
        gap = np.hypot(*(cameras - solid["centre"])[:, [0, 2]].T).min() - reach(solid)
        if gap < CLEARANCE or any(
            np.hypot(*(solid["centre"] - o["centre"])[[0, 2]]) < 0.8 * (reach(solid) + reach(o))
            for o in others
        ):
            return False
    return True


def _spot(rng: np.random.Generator, size: Array, low: float, high: float) -> Array:
    """A point (x, z) between `low` and `high` metres from the centre, inside the sky."""
    away, bearing = (
        rng.uniform(low, min(high, size[[0, 2]].min() / 2 - 1)),
        rng.uniform(0, 2 * np.pi),
    )
    return away * np.array([np.sin(bearing), np.cos(bearing)])


def _building(
    rng: np.random.Generator, size: Array, c2w: Array
) -> tuple[tuple[float, float], Solids]:
    half = np.array([rng.uniform(2, 6), rng.uniform(1.5, 5), rng.uniform(2, 6)])
    spot = _spot(rng, size, 9, 30)
    return (3.0, 9.0), [
        upright_solid(BOX, np.array([spot[0], -half[1], spot[1]]), half, rng.uniform(0, np.pi))
    ]


def _tree(rng: np.random.Generator, size: Array, c2w: Array) -> tuple[tuple[float, float], Solids]:
    trunk, crown = rng.uniform(0.08, 0.25), rng.uniform(0.6, 2.2)
    height = rng.uniform(1.0, 3.0)
    x, z = _spot(rng, size, 4, 25)
    post = np.array([trunk, height / 2, trunk])
    return (1.0, 3.0), [
        upright_solid(CYLINDER, np.array([x, -height / 2, z]), post, 0.0),
        upright_solid(SPHERE, np.array([x, -height - 0.8 * crown, z]), np.full(3, crown), 0.0),
    ]


def _small_thing(
    rng: np.random.Generator, size: Array, c2w: Array
) -> tuple[tuple[float, float], Solids]:
    """A solid on the ground in front of some camera."""
    kind, half = random_shape(rng, 0.3, 1.5)
    camera = c2w[rng.integers(len(c2w))]
    ahead = rng.uniform(1.5, 10) * (camera[:3, 2] + rng.uniform(-0.6, 0.6) * camera[:3, 0])
    x, _, z = camera[:3, 3] + ahead
    return (0.8, 2.5), [
        upright_solid(kind, np.array([x, -half[1], z]), half, rng.uniform(0, np.pi))
    ]
