"""Preparation of stored frames for the model: target size, resizing, and treatment of lens distortion."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from ilrm.errors import ConfigError
from ilrm.fields import shown
from ilrm.ranges import OPTIONS

Resize = Literal["cover", "crop", "stretch"]
Distortion = Literal["undistort", "ignore"]
LEAST_KEPT = 0.8  # share of an image; if cropping keeps less, a line says so


@dataclass(frozen=True)
class Framing:
    """The size of the images given to the model, and how stored frames are brought to it.

    "cover": rescale (Lanczos) until the frame covers the size, then centre crop (RE10K); "crop": centre crop
    without rescaling (DL3DV, 270x480 to 256x448); "stretch": rescale each axis independently (DL3DV, 540x960
    to 544x960).
    """

    height: int  # pixels
    width: int
    resize: Resize = "cover"

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is rescaled before cropping."""
        if self.resize == "crop":
            return height, width
        if self.resize == "stretch":
            return self.height, self.width
        scale = max(self.height / height, self.width / width)
        return max(round(height * scale), self.height), max(round(width * scale), self.width)

    def remark(self, height: int, width: int) -> str | None:
        """A line about frames of this size that lose a part of the picture or change its aspect, or None."""
        h, w = self.scaled_size(height, width)
        size = f"images of {height}x{width} pixels"
        if self.resize == "stretch" and abs(math.log(h * width / (w * height))) > math.log(1.1):
            return f"{size} are stretched to {h}x{w}: their aspect changes"
        kept = self.height * self.width / (h * w)
        if kept < LEAST_KEPT:
            return f"{size} are cropped to the {kept:.0%} in the middle, for {self.height}x{self.width}"
        return None


def parse_size(text: str, multiple: int = 1) -> tuple[int, int]:
    """Parse "HxW" into height and width. Raises ConfigError, also if one is not a multiple of `multiple`."""
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text)
    if not match:
        raise ConfigError(f"size {shown(text)}: give height x width in pixels, e.g. 256x448")
    sides = int(match[1]), int(match[2])
    allowed = OPTIONS["side"]
    if not all(side in allowed for side in sides):
        raise ConfigError(
            f"size {text}: give height x width in pixels, each {allowed}, e.g. 256x448"
        )
    if any(side % multiple for side in sides):
        least = math.ceil(allowed.low / multiple)
        near = (max(least, round(side / multiple)) * multiple for side in sides)
        raise ConfigError(
            f"size {text}: the weights need multiples of {multiple} pixels, e.g. {'x'.join(map(str, near))}"
        )
    return sides
