"""Scenes on disk, whose posed frames are decoded on demand, and collections of such scenes."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ilrm.data.framing import Framing
from ilrm.data.images import decode
from ilrm.errors import DataError

MOST_REASONS = 20  # left-out scenes whose reasons are printed


class FrameSource(Protocol):
    """Source of a frame's pixels."""

    def open(self) -> Image.Image:
        """Decode the frame into an RGB image. Raises DataError if it cannot be decoded."""


@dataclass(frozen=True)
class EncodedImage:
    """Data of an image file in memory, such as JPEG, uint8 [number of bytes]."""

    data: Tensor

    def open(self) -> Image.Image:
        return decode(self.data.numpy().tobytes())


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
    where: str = ""  # the file that holds the scene, put before its key in errors

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def sequence(self) -> list[int]:
        """Frame numbers in the order in which they were taken: by the numbers in their names, 2 before 10."""
        parts = [re.split(r"(\d+)", name) for name in self.names]
        keys = [[int(p) if i % 2 else p.casefold() for i, p in enumerate(ps)] for ps in parts]
        return sorted(range(len(keys)), key=keys.__getitem__)

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
                    f"{height}x{width}: fetch larger images"
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
        where = f"{self.where}scene {self.key}, frame {self.names[index]}"
        try:
            image = self.sources[index].open()
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
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
        self.skipped: dict[str, str] = {}  # reason for each scene that the data set's rules exclude
        self.failed: dict[str, str] = {}  # reason for each scene that could not be used
        self._said: set[str] = set()

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

    def skip(self, key: str, reason: str, failed: bool = False) -> None:
        """Record a scene that is left out, because of the rules or because it failed; the first reasons are
        printed.
        """
        left_out = self.failed if failed else self.skipped
        if key in left_out:
            return
        left_out[key] = reason
        word = "failed" if failed else "skipped"
        if len(left_out) <= MOST_REASONS:
            print(f"{word} scene {key} of {self.folder} ({len(left_out)} so far): {reason}")
        elif len(left_out) == MOST_REASONS + 1:
            print(f"{word} more scenes of {self.folder}: only the first reasons are printed")

    def say(self, line: str) -> None:
        """Print a remark about the data, once."""
        if line not in self._said:
            self._said.add(line)
            print(line)
