"""3D-GS for so many seconds: the better start, chosen without held-out frames; their curve."""

from dataclasses import replace

import pytest
import torch

from ilrm import metrics
from ilrm.data.procedural.samples import example_capture
from ilrm.errors import ConfigError
from ilrm.planes import inverse_depths
from ilrm.reconstruction import timed_splatting
from ilrm.reconstruction.gaussian_splatting import splat
from ilrm.reconstruction.inputs import open_capture
from ilrm.reconstruction.timed_splatting import (
    is_better_start,
    plane_sweep_points,
    splat_for,
    with_rgb,
)
from ilrm.rendering import render
from tests.evaluation.test_baselines import DEPTH, textured_plane


@pytest.fixture(scope="module")
def reconstruction(tmp_path_factory):
    capture = example_capture(tmp_path_factory.mktemp("captures") / "room", 48)
    return open_capture(capture, "ilrm-small", 4).reconstruct()


def test_points_of_a_textured_plane_lie_on_it():
    views = textured_plane().batch.inputs
    points = plane_sweep_points(views)
    assert len(points.positions) == 4 * 16 * 16
    step = float(inverse_depths()[1] - inverse_depths()[0])
    off = (points.positions[:, 2].reciprocal() - 1 / DEPTH).abs().view(4, 16, 16)
    middle = off[:, 4:12, 4:12]  # which other views see
    assert off.median() < step / 2 and (middle < 1.5 * step).float().mean() > 0.8


def test_a_scene_is_better_after_seconds_and_the_curve_says_so(reconstruction, monkeypatch):
    monkeypatch.setattr(timed_splatting, "FEWEST_STEPS", 200)
    found = splat_for(reconstruction, 0.1, show_progress=False)
    images = render(found.reconstruction.gaussians, reconstruction.batch.targets.cameras).images
    targets = reconstruction.batch.targets.images
    psnr = float(metrics.psnr(images[0], targets[0]).mean())
    assert found.curve.psnr.iloc[-1] == pytest.approx(psnr, abs=0.02)
    assert found.curve.step.iloc[-1] == 200 and (found.curve.seconds.diff()[1:] >= 0).all()
    before = render(reconstruction.gaussians, reconstruction.batch.targets.cameras).images
    assert psnr > float(metrics.psnr(before[0], targets[0]).mean()) + 0.5
    assert found.reconstruction.gaussians.colors.dim() == 3  # RGB, so that it can leave the scene


def test_held_out_frames_do_not_choose_the_start(reconstruction):
    black = replace(
        reconstruction.batch.targets, images=torch.zeros_like(reconstruction.batch.targets.images)
    )
    other = replace(reconstruction, batch=replace(reconstruction.batch, targets=black))
    assert is_better_start(other) == is_better_start(reconstruction)


def test_the_start_is_what_explains_the_inputs_better(reconstruction):
    inputs = reconstruction.batch.inputs
    found = splat(inputs, plane_sweep_points(inputs), 400, harmonics=0)
    exact = replace(reconstruction, gaussians=with_rgb(found))
    assert is_better_start(exact)
    assert splat_for(exact, 0.1, show_progress=False).start == "the prediction"
    grey = replace(exact.gaussians, colors=torch.full_like(exact.gaussians.colors, 0.5))
    useless = replace(exact, gaussians=grey)
    assert not is_better_start(useless)
    assert splat_for(useless, 0.1, show_progress=False).start == "plane-sweep points"


def test_no_seconds_are_refused(reconstruction):
    for seconds in (0, -3, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="splat=.*: give a number above 0, at most 86400"):
            splat_for(reconstruction, seconds)
