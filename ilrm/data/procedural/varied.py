"""Scenes of many kinds, to train weights for users' own photos.

Walks and tours of rooms, orbits of 30 to 360 degrees about objects near the centre, walks and orbits
outdoors; lenses of 20 to 75 degrees, cameras that roll, exposure and white balance that differ between views,
plain surfaces, windows and thin furniture.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ilrm.data.procedural.camera_paths import MARGIN, orbit, re10k_path, wide_path
from ilrm.data.procedural.outdoors import outdoor_room
from ilrm.data.procedural.raytrace import BOX, CYLINDER, MATERIAL, ROOM_FACES, SOLID, SPHERE
from ilrm.data.procedural.rooms import (
    CLEARANCE,
    Room,
    on_wall,
    random_material,
    random_room,
    random_shape,
    reach,
    room_size,
    upright_solid,
)
from ilrm.data.procedural.setting import Setting

Array = NDArray[np.float64]
Solids = list[NDArray[np.void]]
KINDS = ("walk", "tour", "orbit", "outdoor orbit", "outdoor walk")
SHARES = (0.3, 0.1, 0.35, 0.15, 0.1)
# vertical fields of view in degrees: with a long lens, the views of a walk would not overlap
LENSES = {
    "walk": (40, 75),
    "tour": (50, 75),
    "orbit": (20, 70),
    "outdoor orbit": (20, 70),
    "outdoor walk": (35, 75),
}
PLAIN = 0.35  # share of the rooms' surfaces with almost no texture
ROLLED, SIDEWAYS = 0.3, 0.05  # shares of scenes whose cameras roll, or are turned by 90 degrees
UNEVEN = 0.5  # share of scenes whose views differ in exposure and white balance


def varied(rng: np.random.Generator, frames: int, photographs: int) -> Setting:
    """A scene of one of the KINDS; photographs: number of the texture bank's layers that are photographs."""
    kind = KINDS[rng.choice(len(KINDS), p=SHARES)]
    fov = np.radians(rng.uniform(*LENSES[kind]))
    if kind.startswith("outdoor"):
        room, c2w = _outdoors(rng, frames, photographs, kind == "outdoor orbit", fov)
    else:
        room, c2w = _indoors(rng, frames, photographs, kind, fov)
    gains = _gains(rng, frames) if rng.random() < UNEVEN else None
    return Setting(room, _rolled(rng, c2w), float(0.5 / np.tan(fov / 2)), gains)


def _indoors(
    rng: np.random.Generator, frames: int, photographs: int, kind: str, fov: float
) -> tuple[Room, Array]:
    size = room_size(rng)
    things: Solids = []
    if kind == "orbit":
        free = float((size[[0, 2]] / 2 - MARGIN).min())
        radius = rng.uniform(0.6, 1.0) * free
        things = centre_piece(rng, radius, fov)
        height = max(-s["centre"][1] + s["half"][1] for s in things)
        target = np.array([0.0, -rng.uniform(0.4, 0.8) * height, 0.0])
        c2w = orbit(rng, frames, rng.uniform(30, 360), radius, target)
    else:
        c2w = (re10k_path if kind == "walk" else wide_path)(rng, frames, size)
    room = random_room(rng, size, c2w, photographs)
    room = _plainer(rng, room)
    for _ in range(rng.integers(0, 3)):
        things += thin_furniture(rng, size, c2w[:, :3, 3])
    room = with_things(rng, room, things, photographs)
    return _with_windows(rng, room, photographs), c2w


def _outdoors(
    rng: np.random.Generator, frames: int, photographs: int, around: bool, fov: float
) -> tuple[Room, Array]:
    """A yard or a street under a sky, seen from an orbit or a walk."""
    things: Solids = []
    if around:
        radius = rng.uniform(2.5, 8)
        things = centre_piece(rng, radius, fov)
        height = max(-s["centre"][1] + s["half"][1] for s in things)
        target = np.array([0.0, -rng.uniform(0.4, 0.8) * height, 0.0])
        c2w = orbit(rng, frames, rng.uniform(30, 360), radius, target)
    else:
        c2w = re10k_path(rng, frames, np.array([12.0, 3.0, 12.0]))
    return outdoor_room(rng, c2w, things, photographs), c2w


def centre_piece(rng: np.random.Generator, radius: float, fov: float) -> Solids:
    """One to four things about the origin that fill a part of the view from `radius` metres away."""
    widest = min(0.9 * radius, 1.2 * radius * np.tan(fov / 2) + 0.1)  # metres
    solids: Solids = []
    for _ in range(rng.integers(1, 5)):
        kind, half = random_shape(rng, 0.3 * widest, 0.8 * widest)
        half[1] = min(half[1], 0.6 * widest)
        spot = rng.normal(0, 0.15 * widest, 2) if solids else np.zeros(2)
        centre = np.array([spot[0], -half[1], spot[1]])
        solids.append(upright_solid(kind, centre, half, rng.uniform(0, np.pi)))
        if kind != SPHERE and rng.random() < 0.6:  # and something on top of it
            kind, top = random_shape(rng, 0.2 * widest, 0.5 * widest)
            top = np.minimum(top, [half[0], 0.4 * widest, half[2]])
            top = top.min().repeat(3) if kind == SPHERE else top
            above = np.array([spot[0], -2 * half[1] - top[1], spot[1]])
            solids.append(upright_solid(kind, above, top, rng.uniform(0, np.pi)))
    return solids


def thin_furniture(rng: np.random.Generator, size: Array, cameras: Array) -> Solids:
    """A table or a floor lamp of parts a few centimetres thick, or nothing if it would be too close to the
    camera positions [N, 3].
    """
    spot = rng.uniform(-1, 1, 2) * (size[[0, 2]] / 2 - 0.8)
    thickness = rng.uniform(0.015, 0.04)
    if np.hypot(*(cameras[:, [0, 2]] - spot).T).min() < CLEARANCE + 0.8:
        return []
    if rng.random() < 0.4:
        height, shade = rng.uniform(1.2, 1.8), rng.uniform(0.12, 0.25)
        parts = [
            (CYLINDER, (0, 0), height / 2, (thickness, height / 2)),
            (rng.choice([SPHERE, CYLINDER]), (0, 0), height, (shade, shade)),
        ]
        return [
            upright_solid(
                int(kind), np.array([spot[0], -middle, spot[1]]), np.array([r, h, r]), 0.0
            )
            for kind, _, middle, (r, h) in parts
        ]
    half, height = rng.uniform(0.3, 0.7, 2), rng.uniform(0.4, 0.9)
    legs = [
        upright_solid(
            BOX,
            np.array([spot[0] + i * half[0], -height / 2, spot[1] + j * half[1]]),
            np.array([thickness, height / 2, thickness]),
            0.0,
        )
        for i in (-0.9, 0.9)
        for j in (-0.9, 0.9)
    ]
    board = np.array([half[0], thickness, half[1]])
    return [*legs, upright_solid(BOX, np.array([spot[0], -height, spot[1]]), board, 0.0)]


def with_things(rng: np.random.Generator, room: Room, things: Solids, photographs: int) -> Room:
    """The room with further solids of their own materials, without the solids that they would intersect."""
    if not things:
        return room
    new = np.array(things, SOLID)
    keep = [
        k
        for k, solid in enumerate(room.solids)
        if all(
            np.hypot(*(solid["centre"] - s["centre"])[[0, 2]]) > 0.7 * (reach(solid) + reach(s))
            for s in new
        )
    ]
    materials = [
        random_material(rng, photographs, (0.6, 2.5), (0.1, 0.3), 0.5, colour=0.24) for _ in new
    ]
    kept = room.materials[[*range(ROOM_FACES), *(ROOM_FACES + k for k in keep)]]
    return replace(
        room,
        solids=np.concatenate([room.solids[keep], new]),
        materials=np.concatenate([kept, np.array(materials, MATERIAL)]),
    )


def _plainer(rng: np.random.Generator, room: Room) -> Room:
    """The room with some surfaces of almost one colour."""
    materials = room.materials.copy()
    plain = rng.random(len(materials)) < PLAIN
    factor = rng.uniform(0.03, 0.3, len(materials))
    materials["matrix"] *= np.where(plain, factor, 1.0)[:, None, None]
    return replace(room, materials=materials)


def _with_windows(rng: np.random.Generator, room: Room, photographs: int) -> Room:
    """The room with up to two bright panes against its walls."""
    panes, materials = [], []
    for _ in range(rng.integers(0, 3)):
        half = np.array([rng.uniform(0.3, 0.9), rng.uniform(0.4, 0.9), 0.02])
        half[1] = min(half[1], room.size[1] / 2 - 0.5)
        panes.append(on_wall(rng, room.size, half, bottom=rng.uniform(0.4, 0.8)))
        pane = random_material(rng, photographs, (1.0, 3.0), (0.02, 0.1), 0.0, colour=0.05)
        pane["base"] = rng.uniform(1.2, 2.0)  # brighter than the light inside could make it
        materials.append(pane)
    if not panes:
        return room
    return replace(
        room,
        solids=np.concatenate([room.solids, np.array(panes, SOLID)]),
        materials=np.concatenate([room.materials, np.array(materials, MATERIAL)]),
    )


def _rolled(rng: np.random.Generator, c2w: Array) -> Array:
    """The cameras [N, 4, 4] turned about their view axes, in some scenes."""
    n = len(c2w)
    roll = np.zeros(n)
    if rng.random() < ROLLED:
        roll = rng.normal(0, 0.15) + rng.normal(0, 0.05, n)
    if rng.random() < SIDEWAYS:
        roll = roll + rng.choice([-1, 1]) * np.pi / 2
    turn = np.tile(np.eye(4), (n, 1, 1))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(roll)
    turn[:, 1, 0], turn[:, 0, 1] = np.sin(roll), -np.sin(roll)
    return c2w @ turn


def _gains(rng: np.random.Generator, frames: int) -> Array:
    """Factors [N, 3] of exposure and white balance: standard deviations of 8 and 3 percent."""
    exposure = np.exp(rng.normal(0, 0.08, (frames, 1)))
    return exposure * np.exp(rng.normal(0, 0.03, (frames, 3)))
