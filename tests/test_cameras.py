"""Cameras: rays against projection, Pluecker order, the mean-pose normalisation."""

import pytest
import torch

from ilrm.cameras import Cameras, jitter_positions, mean_pose, normalize_cameras
from ilrm.errors import CameraError, ViewsError
from ilrm.views import Views
from tests.helpers import rotation_about_y, some_cameras


def test_rays_project_back_to_their_pixel_centres():
    cameras = some_cameras()
    origins, directions = cameras.rays()
    points = origins + 3.0 * directions  # [B, V, H, W, 3]
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], -1)
    local = (homogeneous @ cameras.w2c[..., None, :, :].mT)[..., :3]
    pixels = local @ cameras.K[..., None, :, :].mT
    pixels = pixels[..., :2] / pixels[..., 2:]
    x, y = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="xy")
    torch.testing.assert_close(pixels, torch.stack([x, y], -1).expand_as(pixels), atol=1e-3, rtol=0)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(2, 4, 32, 32))


def test_plucker_is_moment_then_direction_and_moment_is_the_same_along_the_ray():
    cameras = some_cameras()
    origins, directions = cameras.rays()
    moment, direction = cameras.plucker().split(3, -1)
    torch.testing.assert_close(direction, directions)
    elsewhere = origins + 7.0 * directions
    torch.testing.assert_close(
        moment, torch.linalg.cross(elsewhere, directions), atol=1e-5, rtol=1e-5
    )


def test_downscaled_rays_are_those_of_the_coarse_grid():
    """The centre of a coarse pixel is the corner shared by its four fine pixels."""
    cameras = some_cameras()
    _, coarse = cameras.downscaled(2).rays()
    _, corners = cameras.rays(offset=torch.full((32, 32, 2), 0.5))
    torch.testing.assert_close(coarse, corners[..., ::2, ::2, :])


def test_normalisation_centres_the_inputs_and_bounds_their_translations():
    cameras = some_cameras(seed=3)
    angle = torch.tensor(0.7)
    world = torch.eye(4)
    world[:3, :3] = rotation_about_y(angle)
    world[:3, 3] = torch.tensor([4.0, -2.0, 9.0])
    moved = world @ cameras.c2w
    moved[..., :3, 3] *= 5.0
    other = Cameras.from_fxfycxcy(cameras.fxfycxcy, moved, 32, 32)
    normal, again = normalize_cameras(other, other)
    torch.testing.assert_close(normal.c2w, again.c2w)
    torch.testing.assert_close(
        mean_pose(normal.c2w), torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0
    )
    extent = normal.c2w[..., :3, 3].abs().amax((-1, -2))
    torch.testing.assert_close(extent, torch.ones(2))
    torch.testing.assert_close(
        normal.c2w, cameras.c2w, atol=1e-4, rtol=0
    )  # frame of the world is gone
    rotation = normal.c2w[..., :3, :3]
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0
    )


def test_inputs_in_one_place_keep_their_scale():
    c2w = torch.eye(4).repeat(1, 3, 1, 1)
    fxfycxcy = torch.tensor([20.0, 20, 16, 16]).expand(1, 3, 4)
    (normal,) = normalize_cameras(Cameras.from_fxfycxcy(fxfycxcy, c2w, 32, 32))
    torch.testing.assert_close(normal.c2w, c2w)


def test_bad_cameras_are_refused_in_one_line():
    fxfycxcy, c2w = (
        torch.tensor([20.0, 20, 16, 16]).repeat(1, 2, 1),
        torch.eye(4).repeat(1, 2, 1, 1),
    )

    def build(fxfycxcy=fxfycxcy, c2w=c2w, height=32):
        return Cameras.from_fxfycxcy(fxfycxcy, c2w, height, 32)

    nan = c2w.clone()
    nan[0, 1, 0, 3] = torch.nan
    mirrored = c2w.clone()
    mirrored[..., 0, 0] = -1
    for arguments, message in (
        ({"c2w": nan}, r"camera \(0, 1\).*not finite"),
        ({"c2w": 2 * c2w}, "orthonormal"),
        ({"c2w": mirrored}, "determinant 1"),
        ({"c2w": c2w[:, :1]}, "same leading shape"),
        ({"fxfycxcy": -fxfycxcy}, "focal length"),
        ({"height": 0}, "positive sizes"),
    ):
        with pytest.raises(CameraError, match=message) as error:
            build(**arguments)
        assert "\n" not in str(error.value)


def test_images_that_do_not_fit_their_cameras_are_refused():
    cameras = some_cameras()
    for images in (
        torch.rand(2, 4, 3, 32, 16),
        torch.rand(2, 3, 3, 32, 32),
        torch.rand(4, 3, 32, 32),
    ):
        with pytest.raises(ViewsError, match="do not match"):
            Views(images, cameras)
    with pytest.raises(ViewsError, match="floats"):
        Views(torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8), cameras)


def test_jitter_moves_positions_by_its_standard_deviation_and_nothing_else():
    cameras = some_cameras(batch=50, views=8)
    moved = jitter_positions(cameras, 0.1, torch.Generator().manual_seed(0))
    shift = moved.c2w - cameras.c2w
    assert shift[..., :3, 3].std().item() == pytest.approx(0.1, rel=0.1)
    assert shift[..., :3, :3].abs().max() == 0 and moved.fxfycxcy is cameras.fxfycxcy
    again = jitter_positions(cameras, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(again.c2w, moved.c2w)


def test_scale_before_recentring_depends_on_where_the_world_begins():
    """The rule of the released RE10K model; the default rule does not see the origin."""
    inputs, moved = some_cameras(), some_cameras()
    moved.c2w[..., :3, 3] += 5.0
    (world,) = normalize_cameras(moved, camera_scale="world")
    expected = torch.pdist(moved.c2w[0, :, :3, 3]) / moved.c2w[0, :, :3, 3].abs().max()
    torch.testing.assert_close(torch.pdist(world.c2w[0, :, :3, 3]), expected)
    (there,) = normalize_cameras(inputs, camera_scale="world")
    assert (there.c2w - world.c2w).abs().max() > 0.1
    same = [normalize_cameras(c)[0].c2w for c in (inputs, moved)]
    torch.testing.assert_close(*same, atol=1e-4, rtol=0)
