"""RE10K, ACID and DL3DV scenes in the chunk format of pixelSplat and DepthSplat:
`root/<split>/{index.json, 000000.torch, ...}`.

A chunk is a list of dicts: key, url, timestamps int64 [N], cameras float32 [N, 18] (fx fy cx cy in units of
width and height, two zeros, row-major 3x4 world-to-camera, OpenCV), images (N x uint8 JPEG bytes) and, in the
procedural datasets, depths float32 [N, H, W]. Chunks are only opened with `weights_only=True`, so that no
code in them is executed.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilrm.data.scene import EncodedImage, Scene, Scenes, fingerprint
from ilrm.data.sources.camera_checks import RIGID, SLANT, rotation_errors, slant
from ilrm.data.sources.missing_layout import KNOWN
from ilrm.errors import DataError, EmptyDatasetError
from ilrm.system.files import below, is_file
from ilrm.system.found_instead import describe_path
from ilrm.system.json_files import read_json
from ilrm.system.tensor_files import read_tensors

OPEN_CHUNKS = 8  # memory-mapped chunks kept open
MAX_FOCAL = 20.0  # in units of the image size; larger values are taken to be pixels
MAX_FOV = 100.0  # degrees; this and the next two limits are the rules of published RE10K loaders
MAX_TRANSLATION = 1e3
MAX_DETERMINANT_ERROR = 1e-3


def parse_scene(raw: dict[str, Any], where: str) -> Scene:
    """Build a Scene from a chunk's dict; `where` names the chunk in errors. Raises DataError."""
    missing = [name for name in ("key", "cameras", "images") if name not in raw]
    if missing:
        raise DataError(
            f"{where}: a scene lacks {', '.join(missing)}: give a chunk in the RE10K format"
        )
    key, cameras, images = raw["key"], raw["cameras"], raw["images"]
    if not isinstance(key, str) or not isinstance(cameras, Tensor) or not isinstance(images, list):
        raise DataError(
            f"{where}, scene {key}: the key must be text, cameras a tensor, images a list: "
            "give a chunk in the RE10K format"
        )
    shape_fits = cameras.ndim == 2 and cameras.shape[1] == 18 and len(cameras) == len(images) > 0
    if not shape_fits or not cameras.is_floating_point():
        raise DataError(
            f"{where}, scene {key}: cameras {list(cameras.shape)}, {cameras.dtype}, for {len(images)} "
            "images: need floating-point [N, 18] for N > 0"
        )
    if any(
        not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 1
        for image in images
    ):
        raise DataError(
            f"{where}, scene {key}: images must be one-dimensional uint8 tensors of JPEG bytes"
        )
    bad = torch.nonzero(~torch.isfinite(cameras).all(1) | (cameras[:, :2] <= 0).any(1))[
        :, 0
    ].tolist()
    if bad:
        raise DataError(
            f"{where}, scene {key}: cameras of frames {bad[:5]} are not finite or have no focal length: "
            "fetch the chunk again or remove the scene"
        )
    if (cameras[:, 4:6] != 0).any():
        raise DataError(
            f"{where}, scene {key}: columns 4 and 5 of its cameras, the lens distortion, are not zero: "
            "undistort the images first"
        )
    if (cameras[:, :2] > MAX_FOCAL).any():
        raise DataError(
            f"{where}, scene {key}: focal length {cameras[:, :2].max():.4g}: give intrinsics in units of the "
            "image's width and height, these seem to be in pixels"
        )
    sources = [EncodedImage(image) for image in images]
    try:
        width, height = sources[0].open().size
    except DataError as error:
        raise DataError(f"{where}, scene {key}, frame 0: {error}") from error
    depths = raw.get("depths")
    shape = (len(images), height, width)
    if depths is not None and not (
        isinstance(depths, Tensor) and depths.shape == shape and depths.is_floating_point()
    ):
        raise DataError(f"{where}, scene {key}: depths must be a tensor of shape {list(shape)}")
    w2c = torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1)
    w2c[:, :3] = cameras[:, 6:].double().view(-1, 3, 4)
    try:
        c2w = torch.linalg.inv(w2c).float()
    except RuntimeError as error:
        raise DataError(
            f"{where}, scene {key}: a camera matrix has no inverse: remove the scene"
        ) from error
    if not torch.isfinite(c2w).all():
        raise DataError(
            f"{where}, scene {key}: a camera's position is not finite: remove the scene"
        )
    pixels = torch.tensor([width, height, width, height])
    names = [str(i) for i in range(len(images))]
    sizes = [(height, width)] * len(images)
    scene = Scene(
        key, cameras[:, :4] * pixels, c2w, sources, sizes, names, depths, where=f"{where}, "
    )
    _check_cameras(scene)
    return scene


def _check_cameras(scene: Scene) -> None:
    """Raise DataError on cameras that cannot be used although no published rule excludes them."""
    c2w, intrinsics = scene.c2w.double().numpy(), scene.fxfycxcy.double().numpy()
    errors, angles = rotation_errors(c2w), slant(intrinsics, np.array(scene.sizes, float))
    allowed = np.abs(np.linalg.det(c2w[:, :3, :3]) - 1) <= MAX_DETERMINANT_ERROR
    for wrong, words in (
        (allowed & (errors > RIGID), "its pose does not contain a rotation matrix"),
        (angles > SLANT, f"it is seen more than {SLANT:.0f} degrees off the optical axis"),
    ):
        if wrong.any():
            raise DataError(
                f"{scene.where}scene {scene.key}, frame {int(wrong.argmax())}: {words}: remove the scene"
            )


def skip_reason(scene: Scene) -> str | None:
    """The reason why published RE10K loaders skip a scene (too large a field of view, a camera too far away,
    or an invalid rotation), or None if they do not.
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


def _read_index(path: Path) -> dict[str, str]:
    index = read_json(path, fix="fetch it again")
    if not isinstance(index, dict) or not all(isinstance(file, str) for file in index.values()):
        raise DataError(
            f"{path}: need a dict from scene to chunk file, as in pixelSplat's datasets"
        )
    for key, name in index.items():
        if "\\" in name and not is_file(path.parent / name):
            index[key] = name.replace("\\", "/")  # written on Windows
    for name in set(index.values()):
        if below(path.parent, path.parent / name) is None:
            raise DataError(
                f"{path}: chunk {name!r} lies outside of {path.parent}: move it into that folder and "
                "correct its name in the index"
            )
    return index


class ChunkScenes(Scenes):
    """The scenes of a split, looked up by key in index.json; chunks are memory-mapped on demand.

    Raises DataError.
    """

    def __init__(self, root: str | Path, split: str) -> None:
        super().__init__(Path(root) / split)
        self._open: OrderedDict[str, dict[str, dict[str, Any]]] = OrderedDict()
        index = self.folder / "index.json"
        if not index.is_file():
            raise DataError(
                f"{index} is missing: give a folder with train/ and test/ in the RE10K chunk format, or a "
                f"folder of captures, which have {KNOWN}"
            )
        self.files: dict[str, str] = _read_index(index)  # key: chunk file
        if not self.files:
            raise EmptyDatasetError(f"{index} lists no scene: use another dataset")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # worker processes open chunks themselves

    @property
    def keys(self) -> list[str]:
        return list(self.files)

    def file(self, key: str) -> str:
        return self.files[key]

    def version(self, key: str) -> str:
        path = self.folder / self.files[key] if key in self.files else self.folder
        return fingerprint([path] if is_file(path) else [])

    def skip_reason(self, scene: Scene) -> str | None:
        return skip_reason(scene)

    def _chunk(self, name: str) -> dict[str, dict[str, Any]]:
        """The scene dicts of a chunk, by key."""
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        path = self.folder / name
        if not is_file(path):
            missing = "is missing but listed in index.json: fetch it or remove it from index.json"
            raise DataError(f"{path} {describe_path(path) or missing}")
        scenes = read_tensors(path)
        if not isinstance(scenes, list) or not all(
            isinstance(s, dict) and isinstance(s.get("key"), str) for s in scenes
        ):
            raise DataError(
                f"{path} is not a list of scene dicts: give a chunk in the RE10K format"
            )
        self._open[name] = {scene["key"]: scene for scene in scenes}
        if len(self._open) > OPEN_CHUNKS:
            self._open.popitem(last=False)
        return self._open[name]

    def load(self, key: str) -> Scene:
        """Load a scene by its key, even if it is skipped in evaluation. Raises DataError."""
        if key not in self.files:
            raise DataError(f"scene {key} is not in {self.folder / 'index.json'}")
        name = self.files[key]
        chunk = self._chunk(name)
        if key not in chunk:
            raise DataError(
                f"scene {key} is not in {self.folder / name}, although index.json says so: fetch both again"
            )
        return parse_scene(chunk[key], str(self.folder / name))
