"""Reconstruction time against quality on one capture, the trade-off of Table 5.

Compared are iLRM zero-shot, iLRM with refinement, and per-scene 3D-GS, from scratch and from the
initialisation that `--splat` chooses.
"""

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ilrm.data.scene import PointCloud, Scene
from ilrm.errors import ConfigError
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.scoring import measure
from ilrm.gaussians import Gaussians
from ilrm.reconstruction.gaussian_splatting import SH_DEGREE, points_in_scene, splat, start_points
from ilrm.reconstruction.optimization import refine
from ilrm.reconstruction.predict import Reconstruction
from ilrm.reconstruction.timed_splatting import (
    is_better_start,
    plane_sweep_points,
    start_name,
    with_rgb,
)
from ilrm.rendering import render
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, file_name, is_file, is_folder, printable, write_json
from ilrm.system.json_files import read_json
from ilrm.system.progress import progress_bar
from ilrm.views import Views
from ilrm.vocabulary import PLANES, QUALITY
from ilrm.weights.state import Weights

REFINEMENT = (10, 20)  # steps: iLRM_10, iLRM_20
POINTS_PER_DECADE = 6  # points per decade of steps on the 3D-GS curve
SPLATS_PER_PIXEL = 0.25  # random initial points per input pixel: as many as iLRM (H) predicts
FEWEST_POINTS = 100  # with fewer structure-from-motion points, random points are a better start
ABOUT = "about.json"
IDENTITY = ("capture", "cameras", "views", "size", "weights")  # values that identify a trade-off
REPEATS = 5  # number of timed forward passes


class _Stopwatch:
    """Wall-clock time of work on a device, which can be paused to exclude measurements."""

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


def trade_off(
    reconstruction: Reconstruction, weights: Weights, steps: int, seed: int = 0
) -> pd.DataFrame:
    """Rows of method, steps, seconds, number of Gaussians and held-out metrics.

    Methods: `ilrm`; `3d-gs` from scratch (structure-from-motion points if the capture has them); `splat`,
    from the prediction or from plane-sweep points (`timed_splatting`); and, without seconds, the plane warp
    and the plane sweep. `reconstruction` must not be refined yet. Both optimisations run for `steps` steps on
    the same input views, with their schedule scaled to this number. Seconds are the encoder's time (median of
    five passes) plus refinement, or the time of the initialisation plus the optimisation. Reading images,
    rendering of held-out views and metrics are not timed.
    """
    device = reconstruction.gaussians.means.device
    inputs = reconstruction.batch.to(device).inputs
    encoder = _encoder_seconds(lambda: weights.model(inputs), device)
    rows = _rivals(reconstruction)
    rows.append(
        {"method": "ilrm", "steps": 0, "seconds": encoder}
        | _quality(reconstruction, reconstruction.gaussians)
    )
    stopwatch = _Stopwatch(device)

    def refined(step: int, gaussians: Gaussians) -> None:
        seconds = encoder + stopwatch.stop()
        if step in REFINEMENT:
            rows.append(
                {"method": "ilrm", "steps": step, "seconds": seconds}
                | _quality(reconstruction, gaussians)
            )
        stopwatch.resume()

    refine(reconstruction.gaussians, inputs, max(REFINEMENT), refined)
    for method in ("3d-gs", "splat"):
        rows += _optimised(method, reconstruction, inputs, encoder, steps, seed)
    return pd.DataFrame(rows)


def _optimised(
    method: str,
    reconstruction: Reconstruction,
    inputs: Views,
    encoder: float,
    steps: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of the curve of 3D-GS with one of its initialisations."""
    rows, shown = [], curve_steps(steps)
    stopwatch = _Stopwatch(inputs.images.device)
    start, harmonics = _start(method, reconstruction, inputs, seed)
    if isinstance(start, Gaussians):
        stopwatch.seconds += encoder
    with progress_bar(total=steps, desc=method, unit="step") as bar:

        def splatted(step: int, gaussians: Callable[[], Gaussians]) -> None:
            if step in shown:
                seconds = stopwatch.stop()
                row = {"method": method, "steps": step, "seconds": seconds}
                rows.append(row | _quality(reconstruction, _in_rgb(gaussians(), harmonics)))
                stopwatch.resume()
            bar.update()

        splat(inputs, start, steps, seed, splatted, harmonics)
    return rows


def _start(
    method: str, reconstruction: Reconstruction, inputs: Views, seed: int
) -> tuple[PointCloud | Gaussians, int]:
    """Initialisation of 3D-GS, and the degree of its spherical harmonics."""
    if method == "splat":
        if is_better_start(reconstruction):
            return reconstruction.gaussians, 0
        return plane_sweep_points(inputs), 0
    if has_points(reconstruction.scene):
        assert reconstruction.scene.points is not None
        points = points_in_scene(reconstruction.scene.points, reconstruction.batch.normalization)
        return points, SH_DEGREE
    count = round(SPLATS_PER_PIXEL * inputs.images[:, :, 0].numel())
    return start_points(inputs, count, seed), SH_DEGREE


def _in_rgb(gaussians: Gaussians, harmonics: int) -> Gaussians:
    return with_rgb(gaussians) if harmonics == 0 else gaussians


@torch.no_grad()
def _rivals(reconstruction: Reconstruction) -> list[dict[str, Any]]:
    """Rows of the plane warp and the plane sweep, which learn nothing."""
    scene = reconstruction.evaluation_scene
    drawn = render(reconstruction.gaussians, scene.batch.targets.cameras)
    table = measure(scene, drawn, Baselines.of([scene])).groupby("method")
    return [{"method": method, "steps": 0} | _means(table.get_group(method)) for method in PLANES]


def has_points(scene: Scene) -> bool:
    """Whether a scene has enough structure-from-motion points to initialise 3D-GS."""
    return scene.points is not None and len(scene.points.positions) >= FEWEST_POINTS


def curve_steps(steps: int) -> set[int]:
    """Steps at which 3D-GS is measured: evenly spaced on a log scale from 10, and the last step."""
    marks = (round(10 ** (1 + k / POINTS_PER_DECADE)) for k in itertools.count())
    return {*itertools.takewhile(lambda mark: mark < steps, marks), steps}


@torch.no_grad()
def _quality(reconstruction: Reconstruction, gaussians: Gaussians) -> dict[str, float]:
    scene = reconstruction.evaluation_scene
    rows = measure(scene, render(gaussians, scene.batch.targets.cameras))
    return {"gaussians": len(gaussians)} | _means(rows)


def _means(rows: pd.DataFrame) -> dict[str, float]:
    means = rows.mean(numeric_only=True)
    return {name: float(means[name]) for name in QUALITY if name in means}


@torch.no_grad()
def _encoder_seconds(encode: Callable[[], Gaussians], device: torch.device) -> float:
    encode()
    seconds = []
    for _ in range(REPEATS):
        stopwatch = _Stopwatch(device)
        encode()
        seconds.append(stopwatch.stop())
    return statistics.median(seconds)


def target_folder(
    reconstruction: Reconstruction, weights: Weights, out: Path | None, records: Path
) -> Path:
    """Folder to which a trade-off is written: `out`, by default a folder in `records` named by the capture.

    Raises ConfigError if it holds the trade-off of another capture of this name, or of other weights.
    """
    about = _about(reconstruction, weights)
    target = out or records / f"{file_name(about['capture'])}-{about['views']}v-{about['size']}"
    if is_file(target / ABOUT):
        earlier = read_json(target / ABOUT, ConfigError, "choose another folder")
        if not isinstance(earlier, dict):
            raise ConfigError(f"{target / ABOUT} is not that of a trade-off: choose another folder")
        changed = [name for name in IDENTITY if earlier.get(name, about[name]) != about[name]]
        if changed:
            raise ConfigError(
                f"{target} holds a trade-off with other {', '.join(changed)}: remove it, or give --out"
            )
    elif is_folder(target) and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty and holds no trade-off: choose another folder")
    return target


def _about(reconstruction: Reconstruction, weights: Weights) -> dict[str, Any]:
    """Description of a trade-off, as stored in about.json."""
    cameras = reconstruction.batch.inputs.cameras
    scene = reconstruction.scene
    poses = scene.c2w.numpy().round(6).tobytes()
    content = hashlib.sha256(repr(list(scene.names)).encode(errors="surrogatepass") + poses)
    return {
        "capture": scene.key,
        "cameras": content.hexdigest()[:10],
        "views": len(reconstruction.inputs),
        "targets": len(reconstruction.targets),
        "size": f"{cameras.height}x{cameras.width}",
        "weights": printable(Path(weights.source).name),
    }


def write_trade_off(
    rows: pd.DataFrame, reconstruction: Reconstruction, weights: Weights, out: Path
) -> Path:
    """Write rows.csv and about.json to a `target_folder`, and return it."""
    with atomic_path(out / "rows.csv") as temporary:
        rows.to_csv(temporary, index=False, float_format="%.6g")
    about = _about(reconstruction, weights) | {
        "start": "structure from motion" if has_points(reconstruction.scene) else "random points",
        "splat_start": start_name(is_better_start(reconstruction)),
        "environment": describe(reconstruction.gaussians.means.device),
    }
    write_json(out / ABOUT, about)
    return out
