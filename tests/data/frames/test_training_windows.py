import numpy as np
import pytest
import torch

from ilrm.data.frames.training_windows import (
    WindowSchedule,
    evaluation_context,
    mirror,
    spread,
    training_window,
)
from ilrm.errors import ConfigError, DataError, TooFewFramesError


def test_gap_grows_linearly():
    schedule = WindowSchedule()
    assert schedule.gap(0) == (25, 45)
    assert schedule.gap(15_000) == (35, 90)
    assert schedule.gap(30_000) == schedule.gap(10**6) == (45, 135)
    assert WindowSchedule((3, 4), (5, 6), 0).gap(0) == (5, 6)


@pytest.mark.parametrize("frames", [8, 12, 50, 300])
@pytest.mark.parametrize("views", [2, 4])
def test_windows(frames, views):
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(300):
        context, target = training_window(frames, 0, rng, WindowSchedule(), views, 4)
        gaps.append(context[-1] - context[0])
        assert context == spread(context[0], context[-1], views)
        assert 0 <= context[0] < context[-1] < frames
        assert len(set(target)) == 4
        assert not set(target) & set(context)
        assert all(context[0] < t < context[-1] for t in target)
    if frames == 300:
        assert (min(gaps), max(gaps)) == (25, 45)


def test_input_targets_are_contexts():
    rng = np.random.default_rng(0)
    context, target = training_window(40, 0, rng, WindowSchedule(), 4, 3, input_targets=2)
    assert len(target) == 5
    assert set(target[3:]) < set(context)
    assert not set(target[:3]) & set(context)


def test_windows_that_cannot_be():
    rng = np.random.default_rng(0)
    with pytest.raises(TooFewFramesError, match="7 frames are too few"):
        training_window(7, 0, rng, WindowSchedule(), 4, 4)
    for views in ((1, 4, 0), (4, -1, 0), (4, 4, 5)):
        with pytest.raises(ConfigError, match="context_views"):
            training_window(70, 0, rng, WindowSchedule(), *views)


def test_evaluation_context():
    assert evaluation_context([9, 3], [5], 2) == [3, 9]
    assert evaluation_context([0, 30], [10, 15, 20], 4) in ([0, 9, 19, 30], [0, 9, 21, 30])
    assert evaluation_context([0, 9], [], 10) == list(range(10))
    with pytest.raises(TooFewFramesError, match="too few for 3 views"):
        evaluation_context([0, 4], [1, 2, 3], 3)
    with pytest.raises(DataError, match="use an index for 2 views"):
        evaluation_context([0, 4, 8], [5], 2)


def test_mirror_projects_the_mirrored_point_to_the_mirrored_pixel():
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    c2w = torch.eye(4, dtype=torch.float64)
    c2w[:3, :3] = rotation * torch.linalg.det(rotation)
    c2w[:3, 3] = torch.tensor([0.3, -0.2, 0.5])
    fxfycxcy = torch.tensor([30.0, 31.0, 14.0, 17.0], dtype=torch.float64)
    images = torch.rand(3, 20, 32)
    point = c2w[:3, :3] @ torch.tensor([0.2, -0.1, 2.0], dtype=torch.float64) + c2w[:3, 3]

    def project(world, intrinsics, pose):
        local = torch.linalg.inv(pose)[:3] @ torch.cat([world, world.new_ones(1)])
        return local[:2] / local[2] * intrinsics[:2] + intrinsics[2:], local[2]

    (x, y), z = project(point, fxfycxcy, c2w)
    mirrored = mirror({"images": images, "depths": images[0], "fxfycxcy": fxfycxcy, "c2w": c2w})
    flipped, intrinsics, pose = (mirrored[name] for name in ("images", "fxfycxcy", "c2w"))
    torch.testing.assert_close(torch.linalg.det(pose), torch.tensor(1.0, dtype=torch.float64))
    other = point * torch.tensor([-1.0, 1.0, 1.0])
    (mirrored_x, mirrored_y), mirrored_z = project(other, intrinsics, pose)
    torch.testing.assert_close(mirrored_x, 32 - x)
    torch.testing.assert_close(mirrored_y, y)
    torch.testing.assert_close(mirrored_z, z)
    assert torch.equal(flipped[..., 31 - 5], images[..., 5])
    assert torch.equal(mirrored["depths"], flipped[0])
    again = mirror(mirrored)
    assert torch.equal(again["images"], images) and torch.equal(again["c2w"], c2w)
    assert torch.equal(again["fxfycxcy"], fxfycxcy)
