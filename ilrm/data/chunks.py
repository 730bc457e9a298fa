"""RE10K and ACID scenes in pixelSplat's chunk format: `root/<split>/{index.json, 000000.torch,
...}`.

A chunk is a list of dicts: key, url, timestamps int64 [N], cameras float32 [N, 18] (fx fy cx cy in
units of width and height, two zeros, row-major 3x4 world-to-camera, OpenCV), images (N x uint8 JPEG
bytes), and, in our own data sets, depths float32 [N, H, W]. Chunks are opened with
`weights_only=True` only: no code in them is ever run.
"""

import io
import json
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ilrm.data.errors import (
    BadCamerasError,
    BadImageError,
    BadShapeError,
    ChunkMissingError,
    ChunkUnreadableError,
    DatasetMissingError,
    EmptyDatasetError,
    SceneMissingError,
    UnsafeChunkError,
)

OPEN_CHUNKS = 8  # memory-mapped chunks kept open
MAX_FOV = 100.0  # degrees; the three rules of published RE10K loaders
MAX_TRANSLATION = 1e3
MAX_DETERMINANT_ERROR = 1e-3


def _open_jpeg(data: Tensor) -> Image.Image:
    return Image.open(io.BytesIO(data.numpy().tobytes()))


@dataclass(frozen=True)
class Scene:
    """One clip with its cameras; frames are decoded when asked for."""

    key: str
    fxfycxcy: Tensor  # [N, 4] pixels of the stored images
    c2w: Tensor  # [N, 4, 4] OpenCV camera-to-world
    encoded: list[Tensor]  # N x uint8 [bytes]
    size: tuple[int, int]  # height, width of the stored images
    depths: Tensor | None  # [N, H, W] z-depth in the stored images' pixels

    def __len__(self) -> int:
        return len(self.encoded)

    def decode(self, indices: list[int], height: int, width: int) -> tuple[Tensor, Tensor]:
        """Frames as uint8 [n, 3, H, W] and their fxfycxcy [n, 4] in pixels.

        RE10K's rule: scaled (LANCZOS) so that the image covers the target size, then cropped at the
        centre. Raises BadImageError for bytes that do not decode, BadShapeError for a frame of
        another size than the first.
        """
        h, w = self.size
        scale = max(height / h, width / w)
        scaled_h, scaled_w = max(round(h * scale), height), max(round(w * scale), width)
        top, left = (scaled_h - height) // 2, (scaled_w - width) // 2
        frames = np.empty((len(indices), height, width, 3), np.uint8)
        for n, index in enumerate(indices):
            try:
                image = _open_jpeg(self.encoded[index]).convert("RGB")
            except (OSError, SyntaxError) as error:
                raise BadImageError(
                    f"scene {self.key}, frame {index}: cannot decode its JPEG ({error}): "
                    "fetch the chunk again"
                ) from error
            if image.size != (w, h):
                raise BadShapeError(
                    f"scene {self.key}, frame {index}: {image.size[1]}x{image.size[0]} pixels, "
                    f"frame 0 has {h}x{w}: remove the scene"
                )
            if (scaled_h, scaled_w) != (h, w):
                image = image.resize((scaled_w, scaled_h), Image.Resampling.LANCZOS)
            frames[n] = np.asarray(image)[top : top + height, left : left + width]
        ratio = torch.tensor([scaled_w / w, scaled_h / h, scaled_w / w, scaled_h / h])
        offset = torch.tensor([0.0, 0.0, left, top])
        fxfycxcy = self.fxfycxcy[indices] * ratio - offset
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(), fxfycxcy

    def frames(self, indices: list[int], height: int, width: int) -> tuple[Tensor, Tensor]:
        """Like decode, with images float [n, 3, H, W] in [0, 1]."""
        images, fxfycxcy = self.decode(indices, height, width)
        return images.float() / 255, fxfycxcy


def parse_scene(raw: dict[str, Any], where: str) -> Scene:
    """A Scene from a chunk's dict; `where` names the chunk in errors. Raises BadShapeError,
    BadCamerasError, BadImageError.
    """
    missing = [name for name in ("key", "cameras", "images") if name not in raw]
    if missing:
        raise BadShapeError(
            f"{where}: a scene without {', '.join(missing)}: this is not an RE10K chunk"
        )
    key, cameras, images = raw["key"], raw["cameras"], list(raw["images"])
    if cameras.ndim != 2 or cameras.shape[1] != 18 or len(cameras) != len(images) or not images:
        raise BadShapeError(
            f"{where}, scene {key}: cameras {list(cameras.shape)} for {len(images)} images: "
            "need [N, 18] for N > 0"
        )
    if any(image.dtype != torch.uint8 or image.ndim != 1 for image in images):
        raise BadShapeError(
            f"{where}, scene {key}: images must be one-dimensional uint8 tensors of JPEG bytes"
        )
    bad = torch.nonzero(~torch.isfinite(cameras).all(1) | (cameras[:, :2] <= 0).any(1))[
        :, 0
    ].tolist()
    if bad:
        raise BadCamerasError(
            f"{where}, scene {key}: cameras of frames {bad[:5]} are not finite or have no focal length: "
            "fetch the chunk again or remove the scene"
        )
    try:
        width, height = _open_jpeg(images[0]).size
    except OSError as error:
        raise BadImageError(
            f"{where}, scene {key}, frame 0: cannot decode its JPEG ({error}): fetch the chunk again"
        ) from error
    depths = raw.get("depths")
    if depths is not None and depths.shape != (len(images), height, width):
        raise BadShapeError(
            f"{where}, scene {key}: depths {list(depths.shape)}, need {[len(images), height, width]}"
        )
    w2c = torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1)
    w2c[:, :3] = cameras[:, 6:].double().view(-1, 3, 4)
    try:
        c2w = torch.linalg.inv(w2c).float()
    except RuntimeError as error:
        raise BadCamerasError(
            f"{where}, scene {key}: a camera matrix has no inverse: remove the scene"
        ) from error
    pixels = torch.tensor([width, height, width, height])
    return Scene(key, cameras[:, :4] * pixels, c2w, images, (height, width), depths)


def skip_reason(scene: Scene) -> str | None:
    """Why published RE10K loaders skip a scene (None: they do not): field of view, far camera, no
    rotation.
    """
    size = torch.tensor([scene.size[1], scene.size[0]])
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


class RE10KScenes:
    """The scenes of a split by key, through index.json; chunks are memory-mapped when needed.

    Raises DatasetMissingError, EmptyDatasetError; `load` raises SceneMissingError,
    ChunkMissingError, ChunkUnreadableError, UnsafeChunkError and what parse_scene raises.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        self.folder = Path(root) / split
        self.skipped: dict[str, str] = {}  # key: reason, of the scenes met so far
        self._open: OrderedDict[str, dict[str, dict[str, Any]]] = OrderedDict()
        index = self.folder / "index.json"
        if not index.is_file():
            raise DatasetMissingError(
                f"{index} is missing: give a folder with train/ and test/ in the RE10K chunk format"
            )
        self.files: dict[str, str] = json.loads(index.read_text())  # key: chunk file
        if not self.files:
            raise EmptyDatasetError(f"{index} lists no scene")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # worker processes open chunks themselves

    @property
    def keys(self) -> list[str]:
        return list(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def _chunk(self, name: str) -> dict[str, dict[str, Any]]:
        """The dicts of a chunk by key."""
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        path = self.folder / name
        if not path.is_file():
            raise ChunkMissingError(
                f"{path} is missing, index.json names it: fetch it or remove it there"
            )
        try:
            scenes = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError as error:
            if "GLOBAL" not in str(error):
                raise ChunkUnreadableError(
                    f"{path} is not a chunk of tensors: fetch it again"
                ) from error
            raise UnsafeChunkError(
                f"{path} holds pickled code, which is not run: only load chunks of plain tensors"
            ) from error
        except (RuntimeError, EOFError, OSError) as error:
            raise ChunkUnreadableError(
                f"{path} is truncated or no torch file: fetch it again"
            ) from error
        if not isinstance(scenes, list) or not all(
            isinstance(s, dict) and "key" in s for s in scenes
        ):
            raise BadShapeError(f"{path}: not a list of scene dicts: this is not an RE10K chunk")
        self._open[name] = {scene["key"]: scene for scene in scenes}
        if len(self._open) > OPEN_CHUNKS:
            self._open.popitem(last=False)
        return self._open[name]

    def load(self, key: str) -> Scene:
        """The scene of a key, whatever `skip_reason` says of it."""
        if key not in self.files:
            raise SceneMissingError(f"scene {key} is not in {self.folder / 'index.json'}")
        name = self.files[key]
        chunk = self._chunk(name)
        if key not in chunk:
            raise SceneMissingError(
                f"scene {key} is not in {self.folder / name}, where index.json puts it"
            )
        return parse_scene(chunk[key], str(self.folder / name))

    def skip(self, key: str, reason: str) -> None:
        """Counts a scene that a user of this split leaves out, and says so once."""
        if key not in self.skipped:
            self.skipped[key] = reason
            print(f"skipped scene {key} of {self.folder} ({len(self.skipped)} so far): {reason}")
