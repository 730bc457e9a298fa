"""RE10K, ACID and DL3DV scenes in the chunk format of pixelSplat and DepthSplat:
`root/<split>/{index.json, 000000.torch, ...}`.

A chunk is a list of dicts: key, url, timestamps int64 [N], cameras float32 [N, 18] (fx fy cx cy in
units of width and height, two zeros, row-major 3x4 world-to-camera, OpenCV), images (N x uint8 JPEG
bytes), and, in our own data sets, depths float32 [N, H, W]. Chunks are opened with
`weights_only=True` only: no code in them is ever run.
"""

import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

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
from ilrm.data.scene import EncodedImage, Scene, Scenes

OPEN_CHUNKS = 8  # memory-mapped chunks kept open


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
    sources = [EncodedImage(image) for image in images]
    try:
        width, height = sources[0].open().size
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
    names = [str(i) for i in range(len(images))]
    sizes = [(height, width)] * len(images)
    return Scene(key, cameras[:, :4] * pixels, c2w, sources, sizes, names, depths)


class ChunkScenes(Scenes):
    """The scenes of a split by key, through index.json; chunks are memory-mapped when needed.

    Raises DatasetMissingError, EmptyDatasetError; `load` raises SceneMissingError,
    ChunkMissingError, ChunkUnreadableError, UnsafeChunkError and what parse_scene raises.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        super().__init__(Path(root) / split)
        self._open: OrderedDict[str, dict[str, dict[str, Any]]] = OrderedDict()
        index = self.folder / "index.json"
        if not index.is_file():
            raise DatasetMissingError(
                f"{index} is missing: give a folder with train/ and test/ in the RE10K chunk format, or "
                "of captures (COLMAP, transforms.json, opencv_cameras.json, poses_bounds.npy)"
            )
        self.files: dict[str, str] = json.loads(index.read_text())  # key: chunk file
        if not self.files:
            raise EmptyDatasetError(f"{index} lists no scene")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # worker processes open chunks themselves

    @property
    def keys(self) -> list[str]:
        return list(self.files)

    def file(self, key: str) -> str:
        return self.files[key]

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
