"""A scene on disk: posed frames that are decoded when asked for, and collections of such scenes."""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ilrm.data.errors import BadImageError, BadShapeError, SettingsError

MAX_FOV = 100.0  # degrees; the three rules of published RE10K loaders
MAX_TRANSLATION = 1e3
MAX_DETERMINANT_ERROR = 1e-3

Resize = Literal["cover", "crop", "stretch"]


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


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "HxW". Raises SettingsError."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or 0 in map(int, found.groups()):
        raise SettingsError(f"size {text!r}: give height x width in pixels, e.g. 256x448")
    return int(found[1]), int(found[2])


class FrameSource(Protocol):
    """Where a frame's pixels come from."""

    def open(self) -> Image.Image:
        """The frame as an RGB image. Raises OSError or SyntaxError if it cannot be decoded."""


@dataclass(frozen=True)
class EncodedImage:
    """JPEG or PNG bytes in memory, uint8 [bytes]."""

    data: Tensor

    def open(self) -> Image.Image:
        return Image.open(io.BytesIO(self.data.numpy().tobytes())).convert("RGB")


@dataclass(frozen=True)
class PointCloud:
    """Points that structure from motion found, in the world of the scene's cameras."""

    positions: Tensor  # [P, 3]
    colors: Tensor  # [P, 3] in [0, 1]


@dataclass(frozen=True)
class Scene:
    """One clip or capture with its cameras; frames are decoded when asked for."""

    key: str
    fxfycxcy: Tensor  # [N, 4] pixels of the stored images
    c2w: Tensor  # [N, 4, 4] OpenCV camera-to-world
    sources: Sequence[FrameSource]  # N
    sizes: Sequence[tuple[int, int]]  # N x (height, width) of the stored images
    names: Sequence[str]  # N, what errors and files call a frame
    depths: Tensor | None = None  # [N, H, W] z-depth in the stored images' pixels
    points: PointCloud | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def decode(self, indices: Sequence[int], framing: Framing) -> tuple[Tensor, Tensor]:
        """Frames as uint8 [n, 3, H, W] and their fxfycxcy [n, 4] in pixels of those.

        Raises BadImageError for bytes that do not decode, BadShapeError for a frame of another size
        than its camera's, or smaller than the size it is to be cropped to.
        """
        height, width = framing.height, framing.width
        frames = np.empty((len(indices), height, width, 3), np.uint8)
        fxfycxcy = torch.empty(len(indices), 4)
        for n, index in enumerate(indices):
            h, w = self.sizes[index]
            scaled_h, scaled_w = framing.scaled_size(h, w)
            top, left = (scaled_h - height) // 2, (scaled_w - width) // 2
            if top < 0 or left < 0:
                raise BadShapeError(
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
        """Like decode, with images float [n, 3, H, W] in [0, 1]."""
        images, fxfycxcy = self.decode(indices, framing)
        return images.float() / 255, fxfycxcy

    def _open(self, index: int) -> Image.Image:
        where = f"scene {self.key}, frame {self.names[index]}"
        try:
            image = self.sources[index].open()
        except FileNotFoundError as error:
            raise BadImageError(f"{where}: {error.filename} is missing: fetch the image") from error
        except (OSError, SyntaxError) as error:
            raise BadImageError(
                f"{where}: cannot decode the image ({error}): fetch it again"
            ) from error
        height, width = self.sizes[index]
        if image.size != (width, height):
            raise BadShapeError(
                f"{where}: {image.size[1]}x{image.size[0]} pixels, its camera is of {height}x{width}: "
                "remove the frame or mend the camera's size"
            )
        return image


def skip_reason(scene: Scene) -> str | None:
    """Why published RE10K loaders skip a scene (None: they do not): field of view, far camera, no
    rotation.
    """
    size = torch.tensor(scene.sizes).flip(1)  # [N, 2] width, height
    fov = torch.rad2deg(2 * torch.atan(0.5 * size / scene.fxfycxcy[:, :2])).max().item()
    if fov > MAX_FOV:
        return f"field of view {fov:.0f} degrees > {MAX_FOV:.0f}"
    far = scene.c2w[:, :3, 3].norm(dim=1).max().item()
    if far > MAX_TRANSLATION:
        return f"a camera {far:.0f} from the origin > {MAX_TRANSLATION:.0f}"
    determinant = torch.linalg.det(scene.c2w[:, :3, :3].double())
    if (error := (determinant - 1).abs().max().item()) > MAX_DETERMINANT_ERROR:
        return f"a rotation's determinant is {error:.3g} away from 1"
    return None


class Scenes(ABC):
    """The scenes of a split, by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped: dict[str, str] = {}  # key: reason, of the scenes met so far

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """The keys of all scenes."""

    @abstractmethod
    def load(self, key: str) -> Scene:
        """The scene of a key, whatever `skip_reason` says of it. Raises a DataError."""

    def file(self, key: str) -> str:
        """The file or folder that holds a scene: scenes of one file are cheap to read together."""
        return key

    def __len__(self) -> int:
        return len(self.keys)

    def skip(self, key: str, reason: str) -> None:
        """Counts a scene that a user of this split leaves out, and says so once."""
        if key not in self.skipped:
            self.skipped[key] = reason
            print(f"skipped scene {key} of {self.folder} ({len(self.skipped)} so far): {reason}")
