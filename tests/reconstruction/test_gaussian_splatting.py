"""Per-scene 3D-GS: it fits a scene from scratch, by the published schedule, the same from the same seed."""

from dataclasses import replace

import pytest
import torch

from ilrm.cameras import normalization
from ilrm.data.scene import PointCloud
from ilrm.errors import ViewsError
from ilrm.metrics import psnr
from ilrm.reconstruction import gaussian_splatting as splatting
from ilrm.reconstruction.gaussian_splatting import (
    START_OPACITY,
    START_RANGE,
    points_in_scene,
    scene_scale,
    splat,
    start_points,
)
from ilrm.rendering import render
from ilrm.views import Views
from tests.export.test_ply import some_gaussians
from tests.helpers import some_cameras


@pytest.fixture(scope="module")
def views():
    """Six views of known Gaussians; the last two are held out."""
    cameras = some_cameras(batch=1, views=6)
    return Views(render(some_gaussians(80), cameras).images.detach().clamp(0, 1), cameras)


def part(views: Views, which: slice) -> Views:
    return Views(views.images[:, which], views.cameras[:, which])


def quality(gaussians, views: Views) -> float:
    with torch.no_grad():
        return float(psnr(render(gaussians, views.cameras).images[0], views.images[0]).mean())


@pytest.fixture(scope="module")
def fitted(views):
    inputs = part(views, slice(4))
    points = start_points(inputs, 300)
    seen = {}

    def on_step(step, gaussians):
        seen[step] = gaussians()

    return inputs, points, seen, splat(inputs, points, 600, on_step=on_step)


def test_it_fits_inputs_and_held_out_views(fitted, views):
    inputs, _, seen, gaussians = fitted
    start, held_out = seen[1], part(views, slice(4, 6))
    assert quality(gaussians, inputs) > quality(start, inputs) + 6
    assert quality(gaussians, held_out) > quality(start, held_out) + 1


def test_the_schedule_is_stretched_to_the_steps(fitted):
    """Of 600 steps in place of 30,000: refinement from 10 to 300, resets every 60, a degree every 20."""
    _, points, seen, _ = fitted
    counts = {step: len(gaussians) for step, gaussians in seen.items()}
    assert set(seen) == set(range(1, 601))
    assert {counts[step] for step in range(1, 10)} == {len(points.positions)}
    assert len({counts[step] for step in range(11, 300)}) > 5  # grown and pruned
    assert len({counts[step] for step in range(301, 601)}) == 1
    for step in (61, 121, 241):  # right after a reset
        assert seen[step].opacities.max() < 0.011
    assert seen[600].opacities.max() > 0.5
    for degree, step in ((0, 20), (1, 40), (2, 60)):
        used = seen[step].colors.abs().amax((0, 1, 3)) > 0  # [16]
        assert used.tolist() == [i < (degree + 1) ** 2 for i in range(16)]


def test_same_seed_same_result_and_no_trace_in_the_global_generator(fitted):
    inputs, points, seen, _ = fitted
    state = torch.get_rng_state()
    again = {}
    splat(inputs, points, 600, on_step=lambda step, g: again.update({step: g()}))
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(again[600].means, seen[600].means, atol=0, rtol=0)


def test_it_starts_at_the_points(fitted, views):
    inputs, points, _, _ = fitted
    start = splat(inputs, points, 0)
    torch.testing.assert_close(start.means[0], points.positions)
    torch.testing.assert_close(start.opacities, torch.full_like(start.opacities, START_OPACITY))
    one = PointCloud(torch.zeros(2, 3) + torch.eye(3)[:2], torch.rand(2, 3))
    apart = splat(inputs, one, 0).scales
    torch.testing.assert_close(apart, torch.full_like(apart, 2**0.5))


def test_random_points_are_seen_in_their_colours(views):
    points = start_points(views, 200)
    cameras = views.cameras
    distance = torch.cdist(points.positions, cameras.c2w[0, :, :3, 3]).amin(1)
    assert distance.max() <= START_RANGE[1] * scene_scale(cameras) + 1e-4
    local = torch.einsum(
        "vij,pj->vpi", cameras.w2c[0, :, :3], torch.cat([points.positions, torch.ones(200, 1)], 1)
    )
    pixel = torch.einsum("vij,vpj->vpi", cameras.K[0], local)
    pixel = (pixel[..., :2] / pixel[..., 2:]).floor().long()  # [V, P, 2]
    found = torch.zeros(200, dtype=torch.bool)
    for v in range(6):
        x, y = pixel[v].clamp(0, 31).unbind(-1)
        same = (views.images[0, v, :, y, x].T - points.colors).abs().amax(1) < 1e-6
        found |= same & (local[v, :, 2] > 0)
    assert found.float().mean() > 0.95  # but for pixels at the rounding of a border


def test_points_move_with_the_cameras(views):
    world = some_cameras(batch=1, views=6)
    shifted = replace(world, c2w=world.c2w.clone())
    shifted.c2w[..., :3, 3] = 3 * world.c2w[..., :3, 3] + torch.tensor([5.0, -2.0, 1.0])
    to_scene = normalization(shifted)
    centres = PointCloud(shifted.c2w[0, :, :3, 3], torch.rand(6, 3))
    moved = points_in_scene(centres, to_scene)
    torch.testing.assert_close(moved.positions, to_scene(shifted).c2w[0, :, :3, 3])


def test_thresholds_are_stretched_with_steps_and_pixels():
    """A tenth of 30,000 steps on images a tenth of the reference height."""
    strategy = splatting._strategy(3_000, 100)
    assert (strategy.refine_start_iter, strategy.refine_stop_iter) == (50, 1_500)
    assert (strategy.refine_every, strategy.reset_every) == (10, 300)
    assert strategy.grow_grad2d == pytest.approx(0.002)
    assert strategy.grow_scale3d == pytest.approx(0.1)
    assert strategy.prune_scale3d == pytest.approx(1.0)


def test_positions_slow_down_to_a_hundredth(fitted):
    """A first step of Adam is its learning rate long in every coordinate that has a gradient."""
    inputs, _, seen, _ = fitted
    rate = splatting.POSITION_RATE * scene_scale(inputs.cameras)
    first = (seen[1].means - fitted[1].positions).abs().max()
    assert first == pytest.approx(rate, rel=0.01)
    last = (seen[600].means - seen[599].means).abs().max()
    assert last < 0.1 * first


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_fits_on_cuda(views):
    inputs = part(views, slice(4)).to("cuda")
    points = start_points(inputs, 300)
    assert (
        quality(splat(inputs, points, 600), inputs) > quality(splat(inputs, points, 1), inputs) + 6
    )


@pytest.mark.parametrize("lacking", ["baseline", "points"])
def test_what_3d_gs_cannot_start_from_is_one_line(views, lacking):
    inputs, count = part(views, slice(4)), 300
    if lacking == "baseline":
        c2w = inputs.cameras.c2w.clone()
        c2w[..., :3, 3] = c2w[:, :1, :3, 3]
        inputs = replace(inputs, cameras=replace(inputs.cameras, c2w=c2w))
    else:
        count = 1
    points = PointCloud(torch.rand(count, 3), torch.rand(count, 3))
    with pytest.raises(
        ViewsError, match="several positions and at least 2 initial points"
    ) as caught:
        splat(inputs, points, 2)
    assert "\n" not in str(caught.value)
