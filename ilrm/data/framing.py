"""How stored frames become the images that a model sees: their size, and what is done about distortion."""

import re
from dataclasses import dataclass
from typing import Literal

from ilrm.errors import ConfigError

Resize = Literal["cover", "crop", "stretch"]
Distortion = Literal["undistort", "ignore"]


@dataclass(frozen=True)
class Framing:
    """The size of the images that a model sees, and how stored frames get it.

    "cover": scaled (LANCZOS) so that the frame covers the size, then cropped at the centre (RE10K);
    "crop": cropped at the centre without scaling (DL3DV, 256x448 of 270x480); "stretch": scaled to
    the size, each axis by itself (DL3DV, 540x960 to 544x960).
    """

    height: int  # pixels
    width: int
    resize: Resize = "cover"

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is scaled before it is cropped."""
        if self.resize == "crop":
            return height, width
        if self.resize == "stretch":
            return self.height, self.width
        scale = max(self.height / height, self.width / width)
        return max(round(height * scale), self.height), max(round(width * scale), self.width)


def parse_size(text: str, multiple: int = 1) -> tuple[int, int]:
    """Height and width from "HxW". Raises ConfigError, also where a side is no multiple."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or 0 in map(int, found.groups()):
        raise ConfigError(f"size {text!r}: give height x width in pixels, e.g. 256x448")
    height, width = int(found[1]), int(found[2])
    if height % multiple or width % multiple:
        near = (max(1, round(side / multiple)) * multiple for side in (height, width))
        raise ConfigError(
            f"size {text}: the weights need multiples of {multiple} pixels, e.g. {'x'.join(map(str, near))}"
        )
    return height, width
