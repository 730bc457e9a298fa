"""Procedural rooms in the RE10K (pixelSplat) chunk format: the data set that needs no download.

Scene i of a split depends on (seed, split, i) alone: the same bytes for any number of workers, and
the same rooms and paths at every image size.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ilrm.data.frames.training_windows import spread
from ilrm.data.procedural.camera_paths import PATHS
from ilrm.data.procedural.raytrace import render_room
from ilrm.data.procedural.setting import Setting, in_a_room
from ilrm.data.procedural.textures import texture_bank
from ilrm.data.procedural.varied import varied
from ilrm.errors import ConfigError, DataError
from ilrm.system.files import atomic_path, write_json
from ilrm.system.json_files import read_json
from ilrm.system.paths import folder_variable
from ilrm.system.progress import progress_bar

VERSION = 1  # raise it whenever the same parameters give other bytes
CHUNK = 32  # scenes per chunk file
LOCK = "generating.lock"
EVALUATION_VIEWS = (2, 4, 8)
EVALUATION_TARGETS = 6  # per scene, or fewer if fewer frames are not an input of any evaluation
SPLITS = {"train": 0, "test": 1}
# generators by `path`: (random generator, frames, photographs in the texture bank) -> Setting
SETTINGS: dict[str, Callable[[np.random.Generator, int, int], Setting]] = {
    **{path: partial(in_a_room, path) for path in PATHS},
    "varied": varied,
}


@dataclass(frozen=True)
class RoomsConfig:
    """The parameters that, with VERSION, determine the data set's bytes. Raises ConfigError."""

    train_scenes: int = 1000
    test_scenes: int = 64
    frames: int = 24  # per scene
    height: int = 32
    width: int = 32
    # re10k: a walk with a pan; wide: a tour around the room; mixed: both; arc: a part of a tour; orbit60,
    # orbit120, orbit330: about a point near the centre; varied: walks, tours and orbits, also outdoors, with
    # other lenses and exposures
    path: str = "re10k"
    seed: int = 0
    supersample: int = 4  # rays per pixel and axis
    train_depths: bool = False  # also store the true depth of the training scenes

    def __post_init__(self) -> None:
        if self.path not in SETTINGS:
            raise ConfigError(f"path {self.path!r} is unknown: choose one of {', '.join(SETTINGS)}")
        if self.frames < 12:
            raise ConfigError(
                f"frames = {self.frames}: eight context views with targets between need 12 or more"
            )
        for name in ("train_scenes", "test_scenes", "height", "width", "supersample"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed = {self.seed}: must be 0 or more")

    def scenes(self, split: str) -> int:
        return self.train_scenes if split == "train" else self.test_scenes

    def recorded(self) -> dict[str, Any]:
        """The fields that are stored in dataset.json and hashed into the folder's name.

        A field added after version 1 is left out if it is at its default, so that older data sets keep their
        names.
        """
        fields = asdict(self)
        if not self.train_depths:
            del fields["train_depths"]
        return fields

    def bytes_needed(self) -> int:
        """Rough upper bound of the data set's size on disk."""
        pixels = self.frames * self.height * self.width
        jpeg = 2 * pixels + 1000 * self.frames
        with_depths = self.test_scenes + (self.train_scenes if self.train_depths else 0)
        return (self.train_scenes + self.test_scenes) * jpeg + 4 * pixels * with_depths


def _jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """JPEG bytes (quality 95, 4:4:4) of an image [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def render_scene(config: RoomsConfig, split: str, i: int) -> dict[str, Any]:
    """Scene i of a split as a dict of the chunk format.

    `depths` (z, metres, float32 [N, H, W]) are included in the test split, and in the training split if the
    configuration asks for them.
    """
    with_depths = split == "test" or config.train_depths
    rng = np.random.default_rng([config.seed, SPLITS[split], i])
    bank, photographs = texture_bank()
    setting = SETTINGS[config.path](rng, config.frames, photographs)
    room, c2w = setting.room, setting.c2w  # [N, 4, 4]
    n, h, w = config.frames, config.height, config.width
    focal = setting.focal * h
    images, depths = render_room(
        bank,
        *(room.size, room.solids, room.materials, room.light),
        c2w,
        np.array([focal, focal, w / 2, h / 2]),
        *(h, w, config.supersample),
        with_depth=with_depths,
    )
    cameras = np.zeros((n, 18), np.float32)
    cameras[:, :4] = focal / w, focal / h, 0.5, 0.5
    cameras[:, 6:] = np.linalg.inv(c2w)[:, :3].reshape(n, 12)
    jpegs = [_jpeg(image) for image in setting.exposed(images)]
    data = torch.from_numpy(np.concatenate(jpegs))  # one storage, so that chunks load fast
    scene = {
        "key": f"{split}{i:06d}",
        "url": f"procedural:{config.path}/{config.seed}/{split}/{i}",
        "timestamps": torch.arange(n) * 100_000,  # microseconds
        "cameras": torch.from_numpy(cameras),  # [N, 18]
        "images": list(data.split([len(jpeg) for jpeg in jpegs])),  # N x uint8 [bytes]
    }
    if with_depths:
        scene["depths"] = torch.from_numpy(depths)  # [N, H, W]
    return scene


def evaluation_index(config: RoomsConfig, views: int) -> dict[str, dict[str, list[int]]]:
    """{scene: {"context", "target"}}: the same targets for every number of views.

    Contexts are evenly spread for the numbers in EVALUATION_VIEWS. For another number, views are added to the
    context of the next smaller one of these. Raises ConfigError if too few frames are not targets.
    """
    last = config.frames - 1
    taken = {frame for v in EVALUATION_VIEWS for frame in spread(0, last, v)}
    free = [frame for frame in range(config.frames) if frame not in taken]
    start = spread(0, last, max(v for v in EVALUATION_VIEWS if v <= views))
    index = {}
    for i in range(config.test_scenes):
        rng = np.random.default_rng([config.seed, len(SPLITS), i])
        targets = rng.choice(free, min(EVALUATION_TARGETS, len(free)), replace=False).tolist()
        others = [frame for frame in range(config.frames) if frame not in targets]
        if views > len(others):
            raise ConfigError(
                f"{views} input views: these scenes have {len(others)} frames that are not targets; give "
                "fewer views, or more procedural_frames"
            )
        context = _with_more(start, others, views)
        index[f"test{i:06d}"] = {"context": context, "target": sorted(targets)}
    return index


def _with_more(start: list[int], frames: list[int], views: int) -> list[int]:
    """`start` and, one by one, the frame farthest from all chosen ones; among several, that farthest from the
    ones that were added.
    """
    chosen = list(start)
    while len(chosen) < views:
        from_all, from_added = (
            [min((abs(frame - other) for other in others), default=0) for frame in frames]
            for others in (chosen, chosen[len(start) :])
        )
        best = max(range(len(frames)), key=list(zip(from_all, from_added, strict=True)).__getitem__)
        chosen.append(frames[best])
    return sorted(chosen)


def ensure_index(root: Path, config: RoomsConfig, views: int) -> Path:
    """The file of a data set's evaluation index, written where it is missing or of an earlier version.

    Raises ConfigError, as `evaluation_index` does.
    """
    path = root / f"evaluation_index_{views}v.json"
    index = evaluation_index(config, views)
    if not path.exists() or read_json(path, fix=f"delete {path}, it is made again") != index:
        write_json(path, index)
    return path


def _is_complete(root: Path, wanted: dict[str, Any]) -> bool:
    """Whether root holds the complete data set; raises ConfigError if it holds anything else."""
    record = root / "dataset.json"
    if not record.is_file():
        if any(path.name != LOCK for path in root.iterdir()):
            raise ConfigError(f"{root} is not empty and has no dataset.json: choose another folder")
        return False
    stored = read_json(record, fix=f"delete {root}, it is made again")
    if not isinstance(stored, dict):
        raise DataError(f"{record} is not an object: delete {root}, it is made again")
    complete = bool(stored.pop("complete", False))
    if stored != wanted:
        changed = sorted(k for k in wanted | stored if wanted.get(k) != stored.get(k))
        raise ConfigError(
            f"{root} holds a data set with other {', '.join(changed)}: "
            "choose another folder or delete it"
        )
    return complete


def _check_disk(root: Path, config: RoomsConfig) -> None:
    done = sum(file.stat().st_size for file in root.glob("*/*.torch"))
    free, needed = shutil.disk_usage(root).free, config.bytes_needed() - done
    if free < needed:
        raise DataError(
            f"{root}: the scenes need about {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free: "
            "choose another folder (ILRM_CACHE) or fewer scenes"
        )


def _write_chunks(root: Path, config: RoomsConfig, workers: int) -> None:
    """Write the index and the missing chunks of both splits."""
    chunks = []  # (file, split, numbers of its scenes)
    for split in SPLITS:
        numbers = range(config.scenes(split))
        index = {f"{split}{i:06d}": f"{i // CHUNK:06d}.torch" for i in numbers}
        write_json(root / split / "index.json", index)
        for first in numbers[::CHUNK]:
            file = root / split / f"{first // CHUNK:06d}.torch"
            if not file.is_file():
                chunks.append((file, split, numbers[first : first + CHUNK]))
    jobs = [(split, i) for _, split, part in chunks for i in part]
    texture_bank()  # built once, before the threads need it
    with (
        ThreadPoolExecutor(workers) as pool,
        closing(pool.map(lambda job: render_scene(config, *job), jobs)) as scenes,  # type: ignore[type-var]
        progress_bar(total=len(jobs), unit="scene", desc="rooms") as bar,
    ):
        for file, _, part in chunks:
            chunk = []
            for _ in part:
                chunk.append(next(scenes))
                bar.update()
            with atomic_path(file) as beside, beside.open("wb") as stream:
                torch.save(chunk, stream)  # a stream, because torch would store the name of a file


def generate(root: str | Path, config: RoomsConfig, workers: int | None = None) -> Path:
    """Write train/ and test/ (chunks and index.json), evaluation_index_{2,4,8}v.json and dataset.json;
    returns root.

    Returns at once if the folder is complete, resumes after the last whole chunk if it was cut short, and
    waits while another process generates it. `workers`: threads, by default one per core. Raises ConfigError
    if the folder was made with other parameters, and DataError.
    """
    root = Path(root)
    wanted = {"generator": "ilrm.data.procedural", "version": VERSION, **config.recorded()}
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends, however it ends
        if _is_complete(root, wanted):
            return root
        for left_over in root.glob("**/.*"):  # of a generation that was cut short
            left_over.unlink()
        _check_disk(root, config)
        write_json(root / "dataset.json", {**wanted, "complete": False})
        _write_chunks(root, config, workers or os.cpu_count() or 1)
        for views in EVALUATION_VIEWS:
            ensure_index(root, config, views)
        write_json(root / "dataset.json", {**wanted, "complete": True})
    return root


def ensure_dataset(
    config: RoomsConfig, cache_dir: str | Path | None = None, workers: int | None = None
) -> Path:
    """The folder of this data set, named by a hash of the parameters and VERSION; the first call generates
    it.

    `cache_dir`: by default the environment variable ILRM_CACHE, else ~/.cache/ilrm. Raises what `generate`
    raises.
    """
    cache = Path(cache_dir or folder_variable("ILRM_CACHE", Path.home() / ".cache" / "ilrm"))
    text = json.dumps({"version": VERSION, **config.recorded()}, sort_keys=True)
    name = f"rooms-{config.path}-{config.height}x{config.width}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return generate(cache / f"{name}-{digest}", config, workers)
