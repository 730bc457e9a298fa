"""Seconds against quality on one capture, the trade-off of Table 5, from one run: iLRM zero-shot and refined,
and per-scene 3D-GS from scratch over time.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ilrm.data.scene import Scene
from ilrm.evaluation.scoring import measure
from ilrm.gaussians import Gaussians
from ilrm.reconstruction.gaussian_splatting import points_in_scene, splat, start_points
from ilrm.reconstruction.optimization import refine
from ilrm.reconstruction.predict import Reconstruction
from ilrm.rendering import render
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, file_name, write_json
from ilrm.system.progress import progress_bar
from ilrm.vocabulary import QUALITY
from ilrm.weights.state import Weights

REFINEMENT = (10, 20)  # steps: iLRM_10, iLRM_20
POINTS_PER_DECADE = 6  # of the curve of 3D-GS
SPLATS_PER_PIXEL = 0.25  # random points to start from, an input pixel: as many as iLRM (H) predicts
FEWEST_POINTS = 100  # of structure from motion: with fewer, random points are the better start
REPEATS = 5  # timed forward passes


class _Watch:
    """Seconds of work, without what is measured in between."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self._since = device, 0.0, 0.0
        self.resume()

    def resume(self) -> None:
        self._synchronize()
        self._since = time.perf_counter()

    def stop(self) -> float:
        self._synchronize()
        self.seconds += time.perf_counter() - self._since
        return self.seconds

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def trade_off(found: Reconstruction, weights: Weights, steps: int, seed: int = 0) -> pd.DataFrame:
    """Rows of method (`ilrm`, `3d-gs`), steps, seconds, gaussians and their held-out metrics.

    `found`: a reconstruction without refinement. `steps` of 3D-GS on the same inputs, its whole schedule
    stretched to them, from structure from motion's points where the capture has them. Seconds: the encoder's
    (median of five) and the refinement's; of 3D-GS its optimisation. Reading images, rendering of
    held-out views and metrics are not timed.
    """
    device = found.gaussians.means.device
    inputs = found.batch.to(device).inputs
    rows: list[dict[str, Any]] = []

    def add(method: str, step: int, seconds: float, gaussians: Gaussians) -> None:
        rows.append(
            {"method": method, "steps": step, "seconds": seconds} | _quality(found, gaussians)
        )

    encoder = _encoder_seconds(lambda: weights.model(inputs), device)
    add("ilrm", 0, encoder, found.gaussians)
    watch = _Watch(device)

    def refined(step: int, gaussians: Gaussians) -> None:
        seconds = watch.stop()
        if step in REFINEMENT:
            add("ilrm", step, encoder + seconds, gaussians)
        watch.resume()

    refine(found.gaussians, inputs, max(REFINEMENT), refined)

    if has_points(found.scene):
        assert found.scene.points is not None
        points = points_in_scene(found.scene.points, found.batch.normalization)
    else:
        count = round(SPLATS_PER_PIXEL * inputs.images[:, :, 0].numel())
        points = start_points(inputs, count, seed)
    shown = curve_steps(steps)
    bar = progress_bar(total=steps, desc="3D-GS", unit="step")
    watch = _Watch(device)

    def splatted(step: int, gaussians: Callable[[], Gaussians]) -> None:
        if step in shown:
            seconds = watch.stop()
            add("3d-gs", step, seconds, gaussians())
            watch.resume()
        bar.update()

    splat(inputs, points, steps, seed, splatted)
    bar.close()
    return pd.DataFrame(rows)


def has_points(scene: Scene) -> bool:
    """Whether structure from motion found enough points to start 3D-GS from."""
    return scene.points is not None and len(scene.points.positions) >= FEWEST_POINTS


def curve_steps(steps: int) -> set[int]:
    """Steps of 3D-GS that are measured: evenly on a log scale from 10, and the last."""
    marks = (round(10 ** (1 + k / POINTS_PER_DECADE)) for k in itertools.count())
    return {*itertools.takewhile(lambda mark: mark < steps, marks), steps}


@torch.no_grad()
def _quality(found: Reconstruction, gaussians: Gaussians) -> dict[str, float]:
    batch = found.batch.to(gaussians.means.device)
    rendering = render(gaussians, batch.targets.cameras)
    table = measure(found.scene.key, found.targets, batch, rendering)
    means = table[table.method == "model"].mean(numeric_only=True)
    return {"gaussians": len(gaussians)} | {
        name: float(means[name]) for name in QUALITY if name in means
    }


@torch.no_grad()
def _encoder_seconds(encode: Callable[[], Gaussians], device: torch.device) -> float:
    encode()
    seconds = []
    for _ in range(REPEATS):
        watch = _Watch(device)
        encode()
        seconds.append(watch.stop())
    return statistics.median(seconds)


def write_trade_off(
    rows: pd.DataFrame, found: Reconstruction, weights: Weights, out: Path | None, records: Path
) -> Path:
    """Write rows.csv and about.json to a folder, by default one of `records`; returns the folder."""
    cameras = found.batch.inputs.cameras
    size = f"{cameras.height}x{cameras.width}"
    key, views = found.scene.key, len(found.inputs)
    out = out or records / f"{file_name(key)}-{views}v-{size}"
    with atomic_path(out / "rows.csv") as beside:
        rows.to_csv(beside, index=False, float_format="%.6g")
    about = {
        "capture": key,
        "views": views,
        "targets": len(found.targets),
        "size": size,
        "weights": Path(weights.source).name,
        "start": "structure from motion" if has_points(found.scene) else "random points",
        "environment": describe(found.gaussians.means.device),
    }
    write_json(out / "about.json", about)
    return out
