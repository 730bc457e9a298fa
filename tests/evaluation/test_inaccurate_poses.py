"""Noise in pixels: a point at the median depth moves by that much in the images."""

from dataclasses import replace

import pytest
import torch

from ilrm.evaluation.inaccurate_poses import median_depth, with_inaccurate_poses
from tests.evaluation.test_baselines import DEPTH, textured_plane


def test_a_point_at_the_median_depth_moves_by_so_many_pixels():
    scene = textured_plane()
    shifts = []
    for key in map(str, range(200)):
        exact, noisy = scene.batch, with_inaccurate_poses(replace(scene, key=key), 3.0)
        moved = noisy.inputs.cameras.c2w - exact.inputs.cameras.c2w
        assert not moved[..., :3, :3].any()
        shifts.append(40.0 * moved[0, :, 0, 3] / DEPTH)  # focal length 40 pixels
    assert torch.stack(shifts).std() == pytest.approx(3.0, rel=0.1)


def test_targets_stay_and_the_key_gives_the_noise():
    scene = textured_plane()
    one, again = (with_inaccurate_poses(scene, 1.0) for _ in range(2))
    other = with_inaccurate_poses(replace(scene, key="other"), 1.0)
    assert one.targets is scene.batch.targets
    assert torch.equal(one.inputs.cameras.c2w, again.inputs.cameras.c2w)
    assert not torch.equal(one.inputs.cameras.c2w, other.inputs.cameras.c2w)


def test_without_true_depth_the_plane_on_which_the_inputs_agree_counts():
    scene = textured_plane()
    assert median_depth(replace(scene, depths=None)) == pytest.approx(DEPTH, rel=0.1)
    assert median_depth(scene) == pytest.approx(DEPTH, rel=1e-3)
