"""Scenes on disk, whose posed frames are decoded on demand, and collections of such scenes."""

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ilrm.data.framing import Framing
from ilrm.errors import DataError


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit RGB: 16-bit grey is rescaled, transparent pixels are composited over white.

    Raises OSError on floating-point or 32-bit images, whose value range is unknown.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise OSError(f"its pixels have 32 bits ({image.mode}); need 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


class FrameSource(Protocol):
    """Source of a frame's pixels."""

    def open(self) -> Image.Image:
        """Decode the frame into an RGB image. Raises OSError or SyntaxError if it cannot be decoded."""


@dataclass(frozen=True)
class EncodedImage:
    """JPEG or PNG data in memory, uint8 [number of bytes]."""

    data: Tensor

    def open(self) -> Image.Image:
        data = self.data.numpy().tobytes()
        try:
            image = Image.open(io.BytesIO(data))
        except UnidentifiedImageError:
            raise OSError(f"its {len(data)} bytes are not a JPEG or PNG file") from None
        return to_rgb(image)


@dataclass(frozen=True)
class PointCloud:
    """Structure-from-motion points, in the world coordinates of the scene's cameras."""

    positions: Tensor  # [P, 3] double
    colors: Tensor  # [P, 3] in [0, 1]


@dataclass(frozen=True)
class Scene:
    """One clip or capture with its cameras; frames are decoded on demand."""

    key: str
    fxfycxcy: Tensor  # [N, 4] in pixels of the stored images
    # [N, 4, 4] OpenCV camera-to-world; double precision for captures, whose origin may be far away
    c2w: Tensor
    sources: Sequence[FrameSource]  # N
    sizes: Sequence[tuple[int, int]]  # N x (height, width) of the stored images
    names: Sequence[str]  # N, frame names used in error messages and file names
    depths: Tensor | None = None  # [N, H, W] z-depth at the size of the stored images
    points: PointCloud | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def part(self, frames: Sequence[int]) -> "Scene":
        """The scene with only these frames, in this order."""
        chosen = list(frames)
        return replace(
            self,
            fxfycxcy=self.fxfycxcy[chosen],
            c2w=self.c2w[chosen],
            sources=[self.sources[i] for i in chosen],
            sizes=[self.sizes[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            depths=None if self.depths is None else self.depths[chosen],
        )

    def decode(self, indices: Sequence[int], framing: Framing) -> tuple[Tensor, Tensor]:
        """Frames as uint8 [n, 3, H, W], and their fxfycxcy [n, 4] in pixels of these images.

        Raises DataError on images that cannot be decoded, that differ in size from their camera, or that are
        smaller than the crop.
        """
        height, width = framing.height, framing.width
        frames = np.empty((len(indices), height, width, 3), np.uint8)
        fxfycxcy = torch.empty(len(indices), 4)
        for n, index in enumerate(indices):
            h, w = self.sizes[index]
            scaled_h, scaled_w = framing.scaled_size(h, w)
            top, left = (scaled_h - height) // 2, (scaled_w - width) // 2
            if top < 0 or left < 0:
                raise DataError(
                    f"scene {self.key}, frame {self.names[index]}: {h}x{w} pixels cannot be cropped to "
                    f"{height}x{width}: use larger images, or resize=cover"
                )
            image = self._open(index)
            if (scaled_h, scaled_w) != (h, w):
                image = image.resize((scaled_w, scaled_h), Image.Resampling.LANCZOS)
            frames[n] = np.asarray(image)[top : top + height, left : left + width]
            ratio = torch.tensor([scaled_w / w, scaled_h / h, scaled_w / w, scaled_h / h])
            fxfycxcy[n] = self.fxfycxcy[index] * ratio - torch.tensor([0.0, 0.0, left, top])
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(), fxfycxcy

    def frames(self, indices: Sequence[int], framing: Framing) -> tuple[Tensor, Tensor]:
        """Like `decode`, but with images as float [n, 3, H, W] in [0, 1]."""
        images, fxfycxcy = self.decode(indices, framing)
        return images.float() / 255, fxfycxcy

    def framed_depths(self, indices: Sequence[int], framing: Framing) -> Tensor | None:
        """Ground-truth z [n, H, W] of frames; None if it is unknown, or only known at another size."""
        if self.depths is None or self.sizes[0] != (framing.height, framing.width):
            return None
        return self.depths[list(indices)]

    def _open(self, index: int) -> Image.Image:
        where = f"scene {self.key}, frame {self.names[index]}"
        try:
            image = self.sources[index].open()
        except FileNotFoundError as error:
            raise DataError(f"{where}: {error.filename} is missing: fetch the image") from error
        except (OSError, SyntaxError) as error:
            raise DataError(
                f"{where}: cannot decode the image ({error}): fetch it again"
            ) from error
        height, width = self.sizes[index]
        if image.size != (width, height):
            raise DataError(
                f"{where}: image of {image.size[1]}x{image.size[0]} pixels, but its camera {height}x{width}: "
                "remove the frame or correct the camera's size"
            )
        return image


def fingerprint(files: Iterable[Path]) -> str:
    """Hash of names, sizes and modification times, which changes if a file is replaced, added or removed."""
    stats = sorted((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


class Scenes(ABC):
    """The scenes of a split, by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped: dict[str, str] = {}  # reason for each scene skipped so far

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """The keys of all scenes."""

    @abstractmethod
    def load(self, key: str) -> Scene:
        """Load a scene by its key, even if it is skipped in evaluation. Raises DataError."""

    def file(self, key: str) -> str:
        """The file or folder that contains a scene; scenes of the same file are cheap to read together."""
        return key

    @abstractmethod
    def version(self, key: str) -> str:
        """Identifier of the scene's files, which changes when one of them changes."""

    def skip_reason(self, scene: Scene) -> str | None:
        """The reason why the dataset's rules exclude a scene, or None if they do not."""
        return None

    def __len__(self) -> int:
        return len(self.keys)

    def skip(self, key: str, reason: str) -> None:
        """Record a skipped scene and print the reason, once per scene."""
        if key not in self.skipped:
            self.skipped[key] = reason
            print(f"skipped scene {key} of {self.folder} ({len(self.skipped)} so far): {reason}")
