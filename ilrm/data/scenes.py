"""From a data configuration to what training and evaluation consume: normalised `Batch`es."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ilrm.cameras import Cameras, normalize_cameras
from ilrm.config import DataConfig
from ilrm.data.chunks import RE10KScenes, skip_reason
from ilrm.data.dataset import Example, ViewsDataset, example
from ilrm.data.errors import EmptyDatasetError
from ilrm.data.procedural import RoomsConfig, ensure_dataset
from ilrm.data.protocols import EvaluationIndex, read_evaluation_index
from ilrm.data.samplers import WindowSchedule
from ilrm.views import Batch, EvaluationScene, Views

VALIDATION_SCENES = 32  # of the held-out ones, for the points of a learning curve
VALIDATION_BATCH = 16


def dataset_root(data: DataConfig) -> Path:
    """The dataset's folder: the user's own, or procedural scenes, generated at the first call."""
    if data.root:
        return Path(data.root)
    rooms = RoomsConfig(
        train_scenes=data.procedural_train,
        test_scenes=data.procedural_test,
        frames=data.procedural_frames,
        height=data.image_height,
        width=data.image_width,
        path=data.procedural_path,
        seed=data.procedural_seed,
    )
    return ensure_dataset(rooms)


@dataclass(frozen=True)
class TrainingData:
    """Batches by step, their cameras normalised."""

    dataset: ViewsDataset

    def batch(self, step: int, rank: int = 0, count: int = 1) -> Batch:
        """Process `rank` of `count`'s part of a step's batch."""
        return to_batch(self.dataset.batch(step, rank, count))


def training_data(data: DataConfig, batch_size: int, seed: int) -> TrainingData:
    """The training split of a dataset. Raises DataError, or a subclass, on whatever is wrong with it."""
    dataset = ViewsDataset(
        RE10KScenes(dataset_root(data), "train"),
        data.image_height,
        data.image_width,
        batch_size,
        data.context_views,
        data.target_views,
        data.input_targets,
        WindowSchedule(data.gap_start, data.gap_end, data.gap_steps),
        data.flip,
        seed,
    )
    return TrainingData(dataset)


def evaluation_scenes(data: DataConfig) -> list[EvaluationScene]:
    """The held-out scenes of a dataset under its own index for this number of views."""
    root = dataset_root(data)
    index = read_evaluation_index(root / f"evaluation_index_{data.context_views}v.json")
    return indexed_scenes(root, index, data.image_height, data.image_width)


def indexed_scenes(
    root: Path, index: EvaluationIndex, height: int, width: int
) -> list[EvaluationScene]:
    """The test scenes that an evaluation index names; those that are skipped are counted and printed."""
    stored = RE10KScenes(root, "test")
    scenes = []
    for key, context, target in index:
        scene = stored.load(key)
        if (reason := skip_reason(scene)) is not None:
            stored.skip(key, reason)
            continue
        depths = None
        if scene.depths is not None and scene.size == (height, width):
            depths = scene.depths[target]
        batch = to_batch(example(scene, context, target, height, width))
        scenes.append(EvaluationScene(key, tuple(target), batch, depths))
    if not scenes:
        raise EmptyDatasetError(f"{index.path}: every scene was skipped (reasons above)")
    return scenes


def validation_batches(scenes: list[EvaluationScene]) -> list[Batch]:
    """The first held-out scenes in a few batches, for the learning curve."""
    chosen = [scene.batch for scene in scenes[:VALIDATION_SCENES]]
    return [
        _joined(chosen[i : i + VALIDATION_BATCH]) for i in range(0, len(chosen), VALIDATION_BATCH)
    ]


def to_batch(views: Example) -> Batch:
    """Cameras in the mean pose of the inputs, images beside them. Raises CameraError."""
    parts = []
    for name in ("context", "target"):
        height, width = views[f"{name}_images"].shape[-2:]
        parts.append(
            Cameras.from_fxfycxcy(views[f"{name}_fxfycxcy"], views[f"{name}_c2w"], height, width)
        )
    inputs, targets = normalize_cameras(*parts)
    return Batch(Views(views["context_images"], inputs), Views(views["target_images"], targets))


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

    return Batch(join([b.inputs for b in batches]), join([b.targets for b in batches]))
