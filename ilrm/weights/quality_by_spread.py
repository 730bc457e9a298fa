"""Measure the quality of weights on rooms, along camera paths of different spread."""

import numpy as np

from ilrm import metrics
from ilrm.data.batches import HeldOutScenes, framing, open_scenes
from ilrm.data.frames.evaluation_indices import read_evaluation_index
from ilrm.data.procedural.camera_paths import ORBITS
from ilrm.data.procedural.generation import EVALUATION_VIEWS, RoomsConfig, ensure_dataset
from ilrm.evaluation.baselines import Baselines, plane_warp
from ilrm.evaluation.scoring import predict
from ilrm.system.progress import progress_bar
from ilrm.weights.spread import Spread, SpreadRow, spacing
from ilrm.weights.state import Weights

PATHS = ("re10k", *(f"orbit{degrees}" for degrees in ORBITS))
SCENES = 16  # rooms per path
SEED = 1_000  # seed of rooms that no recipe trains on


def quality_by_spread(weights: Weights, scenes: int = SCENES) -> Spread:
    """Mean PSNR of the weights and of the plane warp on rooms of every path and number of input views.

    The numbers of views are those of the rooms' evaluation indices within the range of training, or else the
    nearest one. Rooms are generated at the first call.
    """
    chosen = _views(weights)
    rows = []
    with progress_bar(total=len(PATHS) * len(chosen), unit="set", desc="spread") as bar:
        for path in PATHS:
            for views in chosen:
                rows.append(_row(weights, path, views, scenes))
                bar.update()
    return Spread(rows)


def _views(weights: Weights) -> list[int]:
    data = weights.config.data
    low, high = weights.seen.views if weights.seen else (data.context_views,) * 2
    inside = [views for views in EVALUATION_VIEWS if low <= views <= high]
    return inside or [min(EVALUATION_VIEWS, key=lambda views: abs(views - high))]


def _row(weights: Weights, path: str, views: int, scenes: int) -> SpreadRow:
    device = next(weights.model.parameters()).device
    spacings, model, warp = [], [], []
    rooms = _rooms(weights, path, views, scenes)
    baselines = Baselines.of(rooms)
    for scene in rooms:
        targets = scene.batch.targets.images
        images = predict(weights.model, scene.batch.to(device)).images.to(targets.device)
        spacings.append(spacing(scene.batch.inputs.cameras[0]))
        model.append(float(metrics.psnr(images[0], targets[0]).mean()))
        flat = plane_warp(scene.batch, baselines.plane)
        warp.append(float(metrics.psnr(flat[0], targets[0]).mean()))
    return SpreadRow(
        path,
        views,
        len(model),
        round(float(np.median(spacings)), 2),
        round(float(np.mean(model)), 3),
        round(float(np.mean(warp)), 3),
    )


def _rooms(weights: Weights, path: str, views: int, scenes: int) -> HeldOutScenes:
    data = weights.config.data
    root = ensure_dataset(
        RoomsConfig(
            train_scenes=1,
            test_scenes=scenes,
            height=data.image_height,
            width=data.image_width,
            path=path,
            seed=SEED,
        )
    )
    selection = read_evaluation_index(root / f"evaluation_index_{views}v.json", views)
    return HeldOutScenes(open_scenes(root, "test"), selection, framing(data), data.camera_scale)
