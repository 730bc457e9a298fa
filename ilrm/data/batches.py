"""Normalised `Batch`es for training and evaluation, built from a data configuration."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from weakref import WeakValueDictionary

import torch

from ilrm.cameras import Cameras, CameraScale, Normalization, normalization
from ilrm.config import DataConfig
from ilrm.data.dataset import Example, ViewsDataset, example
from ilrm.data.frames.evaluation_indices import read_evaluation_index
from ilrm.data.frames.training_windows import WindowSchedule
from ilrm.data.frames.view_selection import FullCoverage, Selection
from ilrm.data.framing import Distortion, Framing
from ilrm.data.procedural.generation import RoomsConfig, ensure_dataset, ensure_index
from ilrm.data.scene import Scene, Scenes, fingerprint
from ilrm.data.sources.captures import CaptureScenes, is_capture
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import CameraError, DataError, EmptyDatasetError, TooFewFramesError
from ilrm.fields import shown_path
from ilrm.system.files import is_file, is_folder
from ilrm.system.found_instead import describe_path
from ilrm.views import Batch, EvaluationScene, Views

VALIDATION_SCENES = 32  # held-out scenes used for the validation points of a learning curve
VALIDATION_BATCH = 16

_held: WeakValueDictionary[tuple[DataConfig, bool, str], ViewsDataset] = WeakValueDictionary()


def dataset_root(data: DataConfig) -> Path:
    """The dataset's folder: `data.root`, or procedural scenes, which the first call generates."""
    return Path(data.root) if data.root else ensure_dataset(_rooms(data))


def _rooms(data: DataConfig) -> RoomsConfig:
    return RoomsConfig(
        train_scenes=data.procedural_train,
        test_scenes=data.procedural_test,
        frames=data.procedural_frames,
        height=data.image_height,
        width=data.image_width,
        path=data.procedural_path,
        seed=data.procedural_seed,
        supersample=data.procedural_supersample,
        train_depths=data.procedural_depths,
    )


def framing(data: DataConfig) -> Framing:
    """The image size of a data configuration, and how stored frames are brought to it."""
    return Framing(data.image_height, data.image_width, data.resize)


@dataclass(frozen=True)
class TrainingData:
    """Training batches by step, with normalised cameras."""

    dataset: ViewsDataset
    camera_scale: CameraScale = "recentred"

    def batch(self, step: int, rank: int = 0, count: int = 1) -> Batch:
        """The part of a step's batch that belongs to process `rank` of `count`."""
        return to_batch(self.dataset.batch(step, rank, count), self.camera_scale)

    def batches(self, steps: range, rank: int = 0, count: int = 1) -> Iterator[Batch]:
        """The batches of several steps, in order; worker processes prefetch frames that are not in memory."""
        workers = max(1, (os.cpu_count() or 1) // count - 1)
        examples = self.dataset.loader(steps, rank, count, workers)
        return (to_batch(views, self.camera_scale) for views in examples)


def training_data(
    data: DataConfig, batch_size: int, seed: int, depths: bool = False
) -> TrainingData:
    """The training split of a dataset, with ground-truth depth if `depths`.

    As long as a caller holds the result, further calls with the same configuration share its decoded frames.
    Raises DataError, or a subclass, if the dataset is missing or invalid.
    """
    root = dataset_root(data)
    version = _version(root / "train")
    if (held := _held.get((data, depths, version))) is not None:
        return TrainingData(held.again(batch_size, seed), data.camera_scale)
    dataset = ViewsDataset(
        open_scenes(root, "train", data.image_folder, data.distortion),
        framing(data),
        batch_size,
        data.context_views,
        data.target_views,
        data.input_targets,
        data.context_range,
        data.view_spread,
        WindowSchedule(data.gap_start, data.gap_end, data.gap_steps),
        data.flip,
        seed,
        depths,
    )
    if dataset.in_memory:
        _held[data, depths, version] = dataset
    return TrainingData(dataset, data.camera_scale)


def open_scenes(
    root: str | Path, split: str, image_folder: str = "", distortion: Distortion = "undistort"
) -> Scenes:
    """Open a split of a dataset on disk: chunks if it has an index.json, else a folder of captures.

    Test scenes may also lie directly in `root`, which may be a single capture. Training scenes may not, so
    that no test scene is trained on. Raises DataError.
    """
    root = Path(root)
    folder = root / split
    if not is_folder(root):
        words = describe_path(root) or "does not exist: check the path"
        if is_file(root):
            words = "is a file: give the folder of a dataset, of captures, or of one capture"
        raise DataError(f"{shown_path(root)} {words}")
    if split == "test" and (not is_folder(folder) or is_capture(root)):
        folder = root
    if is_folder(folder) and not (folder / "index.json").is_file():
        # without captures it is a chunk dataset whose index is missing, which ChunkScenes reports
        with contextlib.suppress(EmptyDatasetError):
            return CaptureScenes(folder, image_folder, distortion)
    return ChunkScenes(root, split)


@dataclass(frozen=True)
class HeldOutScenes:
    """The test scenes of a selection, read one at a time."""

    stored: Scenes
    selection: Selection
    framing: Framing
    camera_scale: CameraScale = "recentred"

    @property
    def keys(self) -> list[str]:
        return self.selection.keys(self.stored)

    def __iter__(self) -> Iterator[EvaluationScene]:
        """Yield the usable scenes. Raises EmptyDatasetError if every scene is left out."""
        any_usable = False
        for key in self.keys:
            if (scene := self.usable(key)) is not None:
                any_usable = True
                yield scene
        if not any_usable:
            left_out = self.stored.failed | self.stored.skipped
            raise EmptyDatasetError(
                f"{self.stored.folder}: none of {len(self.keys)} scenes can be evaluated"
                + "".join(f"; {key}: {reason}" for key, reason in list(left_out.items())[:1])
            )

    def usable(self, key: str) -> EvaluationScene | None:
        """Load a scene, or return None if the rules of published loaders exclude it, or if it has too few
        frames, is missing or is damaged. Scenes that are left out are counted and printed.
        """
        try:
            scene = self.stored.load(key)
            reason = self.stored.skip_reason(scene)
            if reason is None:
                return self._scene(scene)
            self.stored.skip(key, reason)
        except TooFewFramesError as error:
            self.stored.skip(key, str(error))
        except (DataError, CameraError) as error:
            self.stored.skip(key, str(error), failed=True)
        return None

    def load(self, key: str) -> EvaluationScene:
        """Load a scene by its key, ignoring the skip rules. Raises DataError."""
        return self._scene(self.stored.load(key))

    def _scene(self, scene: Scene) -> EvaluationScene:
        context, target = self.selection.frames(scene)
        if len(sizes := set(scene.sizes)) == 1 and (remark := self.framing.remark(*sizes.pop())):
            self.stored.say(remark)
        views = example(scene, context, target, self.framing)
        batch = to_batch(views, self.camera_scale)
        depths = None
        if "target_depths" in views:
            depths = views["target_depths"][0] * batch.normalization.scale.float()
        return EvaluationScene(scene.key, tuple(target), batch, depths)


def held_out_scenes(data: DataConfig) -> HeldOutScenes:
    """The held-out scenes of a dataset, selected by its evaluation index and `data.context_views`.

    Captures without an index are evaluated on every 8th frame (FullCoverage). Calls with the same
    configuration share one collection, unless files of the dataset have changed in between, as in a notebook
    that is run again.
    """
    root, path = dataset_root(data), index_path(data)
    folder = root / "test" if is_folder(root / "test") else root
    return _held_out(data, root, path, _version(folder, path))


def index_path(data: DataConfig) -> Path:
    """The evaluation index of a dataset, which may be missing; that of procedural scenes is made."""
    if data.root or data.evaluation_index:
        name = f"evaluation_index_{data.context_views}v.json"
        return Path(data.evaluation_index or Path(data.root) / name)
    return ensure_index(dataset_root(data), _rooms(data), data.context_views)


def _version(*paths: Path) -> str:
    """A text that changes with these files, and with the files and names in these folders."""
    inside = [p for path in paths for p in (sorted(path.iterdir()) if is_folder(path) else [path])]
    return repr([fingerprint(filter(is_file, inside)), *map(str, inside)])


@cache
def _held_out(data: DataConfig, root: Path, path: Path, version: str) -> HeldOutScenes:
    views = data.context_views
    selection: Selection = FullCoverage(views)
    if data.evaluation_index or path.exists() or (root / "test" / "index.json").exists():
        selection = read_evaluation_index(path, views)
    stored = open_scenes(root, "test", data.image_folder, data.distortion)
    return HeldOutScenes(stored, selection, framing(data), data.camera_scale)


def validation_batches(scenes: HeldOutScenes) -> list[Batch]:
    """The first held-out scenes, in a few batches, for the validation points of a learning curve."""
    chosen = [scene.batch for scene in itertools.islice(scenes, VALIDATION_SCENES)]
    return [
        _joined(chosen[i : i + VALIDATION_BATCH]) for i in range(0, len(chosen), VALIDATION_BATCH)
    ]


def to_batch(views: Example, camera_scale: CameraScale = "recentred") -> Batch:
    """Turn an example into a batch with normalised cameras (`normalization`). Raises CameraError."""
    parts = []
    for name in ("context", "target"):
        height, width = views[f"{name}_images"].shape[-2:]
        parts.append(
            Cameras.from_fxfycxcy(views[f"{name}_fxfycxcy"], views[f"{name}_c2w"], height, width)
        )
    to_scene = normalization(parts[0], camera_scale)
    inputs, targets = (to_scene(cameras).float() for cameras in parts)
    depths = views.get("context_depths")  # [B, V, H, W]
    if depths is not None:
        depths = depths * to_scene.scale.to(depths)[:, None, None, None]
    return Batch(
        Views(views["context_images"], inputs),
        Views(views["target_images"], targets),
        to_scene,
        depths,
    )


def _joined(batches: list[Batch]) -> Batch:
    def join(parts: list[Views]) -> Views:
        cameras = parts[0].cameras
        return Views(
            torch.cat([p.images for p in parts]),
            Cameras(
                torch.cat([p.cameras.fxfycxcy for p in parts]),
                torch.cat([p.cameras.c2w for p in parts]),
                cameras.height,
                cameras.width,
            ),
        )

    return Batch(
        join([b.inputs for b in batches]),
        join([b.targets for b in batches]),
        Normalization(
            torch.cat([b.normalization.world_to_scene for b in batches]),
            torch.cat([b.normalization.scale for b in batches]),
        ),
    )
