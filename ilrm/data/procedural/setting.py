"""Description of a procedural scene before it is rendered: a room, cameras in it, lens and exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ilrm.data.procedural.camera_paths import PATHS
from ilrm.data.procedural.rooms import Room, random_room, room_size

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """A scene that render_scene renders."""

    room: Room
    c2w: Array  # [N, 4, 4] OpenCV
    focal: float  # in image heights; pixels are square
    gains: Array | None = None  # [N, 3] factors on the colours of each view

    def exposed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images [N, H, W, 3] with the exposure and white balance of each view."""
        if self.gains is None:
            return images
        return np.clip(images * self.gains[:, None, None] + 0.5, 0, 255).astype(np.uint8)


def in_a_room(path: str, rng: np.random.Generator, frames: int, photographs: int) -> Setting:
    """A room seen along one of the PATHS, with RE10K's lens and no change of exposure."""
    size = room_size(rng)
    c2w = PATHS[path](rng, frames, size)
    room = random_room(rng, size, c2w, photographs)
    return Setting(room, c2w, rng.uniform(0.8, 0.95))  # RE10K: fy = 0.87 in units of the height
