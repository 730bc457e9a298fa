"""3D-GS for a given number of seconds, starting from the prediction or from plane-sweep points.

Per-scene optimisation adds detail that a prediction in one forward pass lacks. If the weights are too weak
for a capture, points from plane-sweep stereo are the better initialisation.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import torch

from ilrm import metrics
from ilrm.data.scene import PointCloud
from ilrm.evaluation.baselines import half_resolution, plane_sweep
from ilrm.gaussians import SH_DEGREE_0, Gaussians
from ilrm.planes import (
    blended,
    disagreement,
    inverse_depths,
    nearest_views,
    on_planes,
    plane_errors,
)
from ilrm.ranges import check_option
from ilrm.reconstruction.gaussian_splatting import splat
from ilrm.reconstruction.predict import Reconstruction
from ilrm.rendering import render
from ilrm.system.progress import progress_bar
from ilrm.views import Views
from ilrm.warping import unproject

PILOT = 20  # steps, the second half of which is timed to plan the schedule
GROWTH = 1.2  # mean duration of a step relative to the timed ones, as Gaussians are added
FEWEST_STEPS = 100
# largest squared error of a prediction to start from, relative to half-resolution copies
DETAIL = 2.0
POINTS = 20  # number of points of the held-out curve
STRIDE = 2  # pixels between plane-sweep points, the spacing of viewpoint pixels at half resolution


@dataclass(frozen=True)
class Splatted:
    """A reconstruction after 3D-GS, with its initialisation and its held-out curve."""

    reconstruction: Reconstruction
    start: str  # "the prediction" or "plane-sweep points"
    curve: pd.DataFrame  # step, seconds, gaussians, psnr of the held-out frames (dB)


def splat_for(
    reconstruction: Reconstruction,
    seconds: float,
    seed: int = 0,
    show_progress: bool = True,
) -> Splatted:
    """Optimise a reconstruction on its input views for about `seconds`.

    The number of steps is planned from a few timed ones, since the schedules of learning rates and density
    control need it. Held-out frames are measured along the way and decide nothing. Raises ConfigError, and
    ViewsError as `splat` does.
    """
    check_option("splat", seconds)
    device = reconstruction.gaussians.means.device
    batch = reconstruction.batch.to(device)
    usable = is_better_start(reconstruction)
    start: PointCloud | Gaussians = (
        reconstruction.gaussians if usable else plane_sweep_points(batch.inputs)
    )
    times: list[float] = []
    splat(
        batch.inputs, start, PILOT, seed, lambda *_: times.append(time.perf_counter()), harmonics=0
    )
    per_step = (times[-1] - times[PILOT // 2]) / (PILOT - 1 - PILOT // 2)
    steps = max(FEWEST_STEPS, round(seconds / (GROWTH * per_step)))
    rows: list[dict[str, float]] = []
    marks = {round(steps * (k + 1) / POINTS) for k in range(POINTS)}
    bar = progress_bar(total=steps, desc="3D-GS", unit="step", disable=not show_progress)
    began, measuring = time.perf_counter(), 0.0

    def measured(step: int, gaussians: Callable[[], Gaussians]) -> None:
        nonlocal measuring
        bar.update()
        if step in marks:
            before = time.perf_counter()
            now = gaussians()
            with torch.no_grad():
                images = render(now, batch.targets.cameras).images
            psnr = float(metrics.psnr(images[0], batch.targets.images[0]).mean())
            rows.append(
                {
                    "step": step,
                    "seconds": round(before - began - measuring, 2),
                    "gaussians": len(now),
                    "psnr": round(psnr, 3),
                }
            )
            bar.set_postfix({"held-out PSNR": f"{psnr:.2f}"}, refresh=False)
            measuring += time.perf_counter() - before

    fitted = splat(batch.inputs, start, steps, seed, measured, harmonics=0)
    bar.close()
    predicted = reconstruction.predicted or reconstruction.gaussians
    optimised = replace(
        reconstruction, gaussians=with_rgb(fitted), optimised=True, predicted=predicted
    )
    return Splatted(optimised, start_name(usable), pd.DataFrame(rows))


def with_rgb(gaussians: Gaussians) -> Gaussians:
    """The Gaussians with RGB colours in place of spherical harmonics of degree 0."""
    return replace(gaussians, colors=(0.5 + SH_DEGREE_0 * gaussians.colors[:, :, 0]).clamp(min=0))


def start_name(usable: bool) -> str:
    """Name of the initialisation of 3D-GS, given whether the prediction `is_better_start`."""
    return "the prediction" if usable else "plane-sweep points"


@torch.no_grad()
def is_better_start(reconstruction: Reconstruction) -> bool:
    """Whether 3D-GS should start from the prediction rather than from plane-sweep points.

    It should if the prediction renders its own input views better than plane-sweep stereo predicts them from
    each other, and with detail: within 3 dB of half-resolution copies. A blurred initialisation costs more
    than it gains, even if its geometry is right. Held-out frames are not used.
    """
    inputs = reconstruction.batch.inputs
    views = inputs.to(reconstruction.gaussians.means.device)
    drawn = render(reconstruction.gaussians, views.cameras).images.clamp(0, 1)
    error = float((drawn - views.images).square().mean())
    copies = half_resolution(replace(reconstruction.batch, targets=inputs))
    if error > DETAIL * float((copies - inputs.images).square().mean()):
        return False
    count = inputs.images.shape[1]
    swept = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        rest, own = (
            Views(inputs.images[:, part], inputs.cameras[:, part]) for part in (others, [i])
        )
        batch = replace(reconstruction.batch, inputs=rest, targets=own, input_depths=None)
        swept.append((plane_sweep(batch) - own.images).square().mean())
    return error < float(torch.stack(swept).mean())


@torch.no_grad()
def plane_sweep_points(views: Views) -> PointCloud:
    """Points of every second pixel of each input view along both axes, on the plane at which the other views
    agree best, with the pixel's colour.
    """
    inverse = inverse_depths()
    prior = plane_errors(views).sqrt()
    count = views.images.shape[1]
    positions, colors = [], []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        camera = views.cameras[0, i]
        rest = nearest_views(Views(views.images[:, others], views.cameras[:, others]), camera)
        values, inside = on_planes(rest, camera, inverse)
        own = (blended(rest, camera, values, inside) - views.images[0, i][:, None]).abs().mean(0)
        best = (disagreement(values, inside) + own + prior[:, None, None]).argmin(0)  # [h, w]
        depths = inverse[best].reciprocal()
        points = unproject(camera, depths[None].to(views.images))[0]
        part = slice(STRIDE // 2, None, STRIDE)
        positions.append(points[part, part].reshape(-1, 3))
        colors.append(views.images[0, i][:, part, part].flatten(1).T)
    return PointCloud(torch.cat(positions).double(), torch.cat(colors))
