"""Baselines: copies and means as such, warps exact where their assumption holds."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ilrm.cameras import Cameras, normalization
from ilrm.evaluation.baselines import (
    Baselines,
    half_resolution,
    mean_colour,
    nearest_view,
    plane_sweep,
    plane_warp,
    true_depth_warp,
)
from ilrm.metrics import psnr
from ilrm.planes import inverse_depths
from ilrm.views import Batch, EvaluationScene, Views
from ilrm.warping import look_up, unproject
from tests.helpers import some_cameras, some_views

SIDE = 32
DEPTH = float(inverse_depths()[16].reciprocal())  # of the textured plane: one of the planes


def texture(x: Tensor, y: Tensor) -> Tensor:
    """Smooth colours [3, ...] in [0, 1] at places of a plane."""
    waves = [torch.sin(3 * x + k) * torch.cos(2 * y - k) for k in range(3)]
    return 0.5 + 0.2 * torch.stack(waves) + 0.25 * torch.sin(11 * x + 9 * y)


def textured_plane(slope: float = 0.0) -> EvaluationScene:
    """Four inputs and two targets that look at the plane z = DEPTH + slope x, with its true depth."""
    places = torch.tensor(
        [[-0.5, 0.0], [0.5, 0.1], [-0.2, 0.3], [0.3, -0.3], [0.1, 0.1], [-0.1, -0.1]]
    )
    c2w = torch.eye(4).repeat(6, 1, 1)
    c2w[:, :2, 3] = places
    intrinsics = torch.tensor([40.0, 40.0, SIDE / 2, SIDE / 2]).expand(6, 4)
    cameras = Cameras.from_fxfycxcy(intrinsics, c2w, SIDE, SIDE)
    centres = (torch.arange(SIDE) + 0.5 - SIDE / 2) / 40
    u, v = torch.meshgrid(centres, centres, indexing="xy")
    depths = (DEPTH + slope * places[:, 0, None, None]) / (1 - slope * u)  # [6, H, W]
    x, y = (places[:, i, None, None] + depths * ray for i, ray in enumerate((u, v)))
    images = texture(x, y).movedim(0, 1)  # [6, 3, H, W]
    inputs, targets = (
        Views(images[None, part], cameras[part][None]) for part in (slice(0, 4), slice(4, 6))
    )
    batch = Batch(inputs, targets, normalization(inputs.cameras), depths[None, :4])
    return EvaluationScene("plane", (0, 1), batch, depths[4:])


def quality(found: Tensor, scene: EvaluationScene) -> float:
    """PSNR of the middle of the targets, which all inputs see."""
    middle = slice(8, SIDE - 8)
    images, targets = found[0], scene.batch.targets.images[0]
    return float(psnr(images[..., middle, middle], targets[..., middle, middle]).min())


def test_a_plane_is_found_and_drawn_by_the_plane_warp():
    scene = textured_plane()
    baselines = Baselines.of([scene])
    assert baselines.plane == pytest.approx(1 / DEPTH)
    assert quality(plane_warp(scene.batch, baselines.plane), scene) > 40
    elsewhere = Baselines(float(inverse_depths()[24]))
    assert quality(plane_warp(scene.batch, elsewhere.plane), scene) < 20


def test_the_plane_does_not_depend_on_the_targets():
    scene = textured_plane()
    targets = Views(torch.rand_like(scene.batch.targets.images), scene.batch.targets.cameras)
    other = Batch(scene.batch.inputs, targets, scene.batch.normalization)
    assert Baselines.of([EvaluationScene("", (0, 1), other, None)]) == Baselines.of([scene])


def test_a_slanted_plane_needs_the_sweep_and_true_depth_draws_it():
    scene = textured_plane(slope=1.0)
    flat = quality(plane_warp(scene.batch, Baselines.of([scene]).plane), scene)
    swept = quality(plane_sweep(scene.batch), scene)
    known = quality(true_depth_warp(scene.batch, scene.depths), scene)
    assert flat + 3 < swept < known and known > 40


def test_what_is_hidden_is_not_drawn():
    """Of a view with another surface in front nothing is taken: the others draw the plane alone."""
    scene = textured_plane()
    images, depths = scene.batch.inputs.images.clone(), scene.batch.input_depths.clone()
    images[:, 0], depths[:, 0] = 0.0, DEPTH / 2
    batch = Batch(
        Views(images, scene.batch.inputs.cameras),
        scene.batch.targets,
        scene.batch.normalization,
        depths,
    )
    assert quality(true_depth_warp(batch, scene.depths), scene) > 40


def test_points_of_a_camera_are_found_in_its_image():
    views = some_views(batch=1)
    camera = views.cameras[0, 2]
    depths = 1 + torch.rand(1, 32, 32)
    points = unproject(camera, depths)
    values, inside, z = look_up(views.images[0, 2:3], views.cameras[0, 2:3], points, "nearest")
    torch.testing.assert_close(values[0, :, 0], views.images[0, 2])
    torch.testing.assert_close(z[0], depths)
    assert inside.all()


def test_behind_a_camera_nothing_is_seen():
    camera = some_cameras(batch=1)[0, :1]
    points = unproject(camera[0], torch.full((1, 32, 32), -1.0))
    _, inside, z = look_up(torch.rand(1, 3, 32, 32), camera, points)
    assert not inside.any() and (z < 0).all()


def test_the_ceiling_keeps_what_half_resolution_can_hold():
    scene = textured_plane()
    assert quality(half_resolution(scene.batch), scene) > 40
    noise = Batch(some_views(), some_views(seed=1), normalization(some_cameras()))
    found = half_resolution(noise)
    assert float(psnr(found[0], noise.targets.images[0]).mean()) < 15


def test_every_baseline_is_drawn_of_a_scene_that_knows_its_depth():
    scene = textured_plane()
    found = dict(Baselines.of([scene]).images(scene))
    shape = scene.batch.targets.images.shape
    assert len(found) == 6 and all(images.shape == shape for images in found.values())
    unknown = EvaluationScene("plane", (0, 1), scene.batch, None)
    assert "true_depth_warp" not in dict(Baselines.of([scene]).images(unknown))


def test_nearest_view_copies_the_input_whose_camera_is_nearest():
    inputs = some_views()
    order = torch.tensor([3, 1])
    c2w = inputs.cameras.c2w[:, order].clone()
    c2w[..., :3, 3] += 1e-3
    cameras = Cameras(inputs.cameras.fxfycxcy[:, order], c2w, 32, 32)
    targets = Views(torch.rand(2, 2, 3, 32, 32), cameras)
    batch = Batch(inputs, targets, normalization(inputs.cameras))
    torch.testing.assert_close(nearest_view(batch), inputs.images[:, order])


def test_mean_colour_is_the_mean_of_the_inputs():
    inputs = some_views()
    batch = Batch(inputs, some_views(views=2), normalization(inputs.cameras))
    expected = inputs.images.mean((1, 3, 4))
    torch.testing.assert_close(mean_colour(batch)[:, 1, :, 5, 7], expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_the_baselines_draw_what_they_draw_on_the_cpu():
    scene = textured_plane(slope=0.3)
    on_cuda = replace(scene, batch=scene.batch.to("cuda"))
    baselines = Baselines.of([on_cuda])
    assert baselines == Baselines.of([scene])
    for (name, expected), (_, images) in zip(
        baselines.images(scene), baselines.images(on_cuda), strict=True
    ):
        assert images.device.type == "cuda"
        assert psnr(images[0].cpu(), expected[0]).min() > 50, name
