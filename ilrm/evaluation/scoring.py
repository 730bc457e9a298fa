"""Held-out evaluation: metrics per target view, for the model and for the trivial baselines."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ilrm import metrics
from ilrm.config import EvaluationConfig
from ilrm.errors import WeightsError
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.inaccurate_poses import with_inaccurate_poses
from ilrm.model import ILRM
from ilrm.rendering import Rendering, render
from ilrm.system.distributed import processes
from ilrm.views import Batch, EvaluationScene


@torch.no_grad()
def predict(model: ILRM, batch: Batch, depth: bool = False, layer: int | None = None) -> Rendering:
    """Render the target views from the Gaussians that the model predicts from the input views.

    `layer`: decode the tokens of this layer instead of the last one (Figure 1; 0: V^(0)).
    """
    was_training = model.training
    model.eval()
    inputs = batch.inputs
    tokens = model.encode(inputs) if layer is None else model.encode_layers(inputs)[layer]
    gaussians = model.decode(tokens, inputs)
    rendering = render(gaussians, batch.targets.cameras, depth=depth)
    model.train(was_training)
    return rendering


def lpips_missing() -> str | None:
    """The reason why LPIPS cannot be computed on this machine, or None if it can."""
    try:
        metrics.lpips_model("vgg")
    except WeightsError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`."""

    per_view: pd.DataFrame
    """One row per scene, target frame and method. Columns: scene, frame, method, psnr (dB), ssim, lpips (VGG;
    absent if its weights are missing) and, for the model on scenes with ground-truth depth, over the pixels
    of the view: depth_spearman (rank correlation), depth_abs_rel and depth_rmse (Table 11: mean of
    |predicted - true| / true, root mean square error in normalised scene units; without any alignment)."""
    depth_spearman_pooled: float | None
    """Rank correlation over the pixels of all views together, depths in normalised scene units."""


def evaluate(
    model: ILRM,
    scenes: Iterable[EvaluationScene],
    options: EvaluationConfig = EvaluationConfig(),  # noqa: B008 (frozen)
    baselines: Baselines | None = None,
) -> Evaluation:
    """Measure the model, and the baselines if given, on every target view of the scenes.

    Only `options.camera_noise` and `options.decoded_layer` are used here: the input views are already part of
    the scenes.
    """
    device = next(model.parameters()).device
    with_lpips = lpips_missing() is None
    rows: list[dict[str, Any]] = []
    depths: list[tuple[np.ndarray, np.ndarray]] = []  # predicted and true depth of each view
    for scene in scenes:
        batch = scene.batch.to(device)
        given = batch
        if options.camera_noise:
            given = with_inaccurate_poses(scene, options.camera_noise).to(device)
        rendering = predict(model, given, scene.depths is not None, options.decoded_layer)
        measured = _rows(scene, batch, "model", rendering.images, with_lpips)
        if scene.depths is not None:
            assert rendering.depths is not None
            for i, row in enumerate(measured):
                pair = rendering.depths[0, i, 0].cpu().numpy(), scene.depths[i].numpy()
                row |= depth_metrics(*pair)
                depths.append(pair)
        rows += measured
        if baselines:
            rows += _baseline_rows(replace(scene, batch=batch), baselines, with_lpips)
    pooled = None
    if depths:
        predicted, true = (
            np.concatenate([d.ravel() for d in side]) for side in zip(*depths, strict=True)
        )
        pooled = depth_spearman(predicted, true)
    return Evaluation(pd.DataFrame(rows), pooled)


def evaluate_baselines(scenes: Iterable[EvaluationScene]) -> pd.DataFrame:
    """The baselines' rows of `Evaluation.per_view`, on a GPU if there is one. `scenes` is iterated twice."""
    with_lpips, device = lpips_missing() is None, processes().device
    baselines = Baselines.of(scenes)
    return pd.DataFrame(
        [
            row
            for scene in scenes
            for row in _baseline_rows(
                replace(scene, batch=scene.batch.to(device)), baselines, with_lpips
            )
        ]
    )


def measure(
    scene: EvaluationScene, rendering: Rendering, baselines: Baselines | None = None
) -> pd.DataFrame:
    """Rows as in `Evaluation.per_view` for the rendered target views of one scene, and its baselines."""
    with_lpips = lpips_missing() is None
    rows = _rows(scene, scene.batch, "model", rendering.images, with_lpips)
    if baselines:
        rows += _baseline_rows(scene, baselines, with_lpips)
    return pd.DataFrame(rows)


def _baseline_rows(
    scene: EvaluationScene, baselines: Baselines, with_lpips: bool
) -> list[dict[str, Any]]:
    return [
        row
        for name, images in baselines.images(scene)
        for row in _rows(scene, scene.batch, name, images, with_lpips)
    ]


def _rows(
    scene: EvaluationScene, batch: Batch, method: str, images: Tensor, with_lpips: bool
) -> list[dict[str, Any]]:
    """One row per target view; images [1, T, 3, H, W]."""
    values = _image_metrics(images[0], batch.targets.images[0], with_lpips)
    return [
        {"scene": scene.key, "frame": frame, "method": method}
        | {name: value[i] for name, value in values.items()}
        for i, frame in enumerate(scene.frames)
    ]


def _image_metrics(pred: Tensor, target: Tensor, with_lpips: bool) -> dict[str, list[float]]:
    values = {"psnr": metrics.psnr(pred, target), "ssim": metrics.ssim(pred, target)}
    if with_lpips:
        values["lpips"] = metrics.lpips(pred, target, net="vgg")
    return {name: value.cpu().tolist() for name, value in values.items()}


def depth_spearman(predicted: np.ndarray, true: np.ndarray) -> float:
    """Spearman rank correlation of two arrays of depths; 0 for a constant prediction."""
    from scipy import stats

    if np.ptp(predicted) == 0:
        return 0.0
    return float(stats.spearmanr(predicted.ravel(), true.ravel()).statistic)


def depth_metrics(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """The `DEPTH` metrics of two depth maps [H, W] in the same unit; predicted depth is 0 on empty pixels."""
    error = predicted - true
    return {
        "depth_spearman": depth_spearman(predicted, true),
        "depth_abs_rel": float(np.mean(np.abs(error) / true)),
        "depth_rmse": float(np.sqrt(np.mean(error**2))),
    }


def validation_psnr(model: ILRM, batches: Iterable[Batch]) -> float:
    """Mean PSNR in dB over scenes, for the validation points of a learning curve."""
    values = []
    for batch in batches:
        images = predict(model, batch).images
        value = metrics.psnr(images.flatten(0, 1), batch.targets.images.flatten(0, 1))
        values.append(value.view(len(images), -1).mean(1).cpu())
    return float(torch.cat(values).mean())
