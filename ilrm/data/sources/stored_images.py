"""Cameras of the images as they are stored: downsampled, or not upright, as EXIF orientations say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ilrm.data.images import SIDEWAYS, read_size
from ilrm.data.sources.distortion import scaled
from ilrm.data.sources.image_lookup import reduction, what_is_there
from ilrm.errors import DataError
from ilrm.system.files import is_file

if TYPE_CHECKING:
    import pycolmap

TURNED = range(2, 9)  # EXIF orientations of photos that are stored turned or mirrored


@dataclass(frozen=True)
class Fit:
    """A camera rescaled to its stored image, and to the upright image; None where the size does not fit."""

    stored: pycolmap.Camera | None
    upright: pycolmap.Camera | None  # None as well for an image that is stored upright
    turned: bool  # whether the EXIF orientation is not upright

    @property
    def open(self) -> bool:
        """Whether the camera fits the image both ways, as with square photos and with photos upside down."""
        return self.stored is not None and self.upright is not None


def fit(camera: pycolmap.Camera, path: Path, where: str) -> Fit:
    """Fit a camera to its image, which may be in a folder of downsampled images.

    Raises DataError if the image is missing or damaged, or if the camera does not fit it at all.
    """
    if not is_file(path):
        raise DataError(f"{where}: {path} {what_is_there(path)}")
    try:
        (width, height), orientation = read_size(path)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    factor = reduction(path)
    turned = (height, width) if orientation in SIDEWAYS else (width, height)
    stored = _resized(camera, width, height, factor)
    upright = _resized(camera, *turned, factor) if orientation in TURNED else None
    if stored is None and upright is None:
        raise DataError(
            f"{where}: {path} has {height}x{width} pixels, its camera {camera.height}x{camera.width}: "
            "use the cameras' own images, or downsampled ones in images_2, images_4 or images_8"
        )
    return Fit(stored, upright, orientation in TURNED)


def _resized(
    camera: pycolmap.Camera, width: int, height: int, factor: int
) -> pycolmap.Camera | None:
    """The camera for an image of this size, `factor` times smaller; None if the size does not fit."""
    if (camera.width, camera.height) == (width, height):
        return camera
    off = max(abs(width - camera.width / factor), abs(height - camera.height / factor))
    return scaled(camera, width, height) if factor > 1 and off <= 1 else None


def choose(fits: Sequence[Fit]) -> tuple[list[tuple[pycolmap.Camera, bool]], list[str]]:
    """For each image of a capture, its camera and whether the image is rotated upright; and lines about this.

    If the size of a photo fits both ways, the other photos of the capture decide; else it is read as stored.
    """
    decided = [fit for fit in fits if fit.turned and not fit.open]
    upright = [fit.stored is None for fit in decided]
    turn = bool(upright) and all(upright)
    chosen = [_chosen(fit, turn) for fit in fits]
    notes = []
    if count := sum(is_upright for _, is_upright in chosen):
        notes.append(f"{count} photos are turned upright as their EXIF orientation says")
    unsure = sum(fit.open for fit in fits)
    if unsure and (not decided or any(upright) != all(upright)):
        notes.append(
            f"the EXIF orientation of {unsure} photos, whose size fits their camera both ways, is ignored: "
            "if the cameras are those of the upright photos, store the photos upright"
        )
    return chosen, notes


def _chosen(fit: Fit, turn: bool) -> tuple[pycolmap.Camera, bool]:
    if fit.stored is None or (turn and fit.upright is not None):
        assert fit.upright is not None
        return fit.upright, True
    return fit.stored, False
