"""Head activations against the published table."""

import math

import pytest
import torch

from ilrm.config import ModelConfig
from ilrm.gaussians import activate
from tests.helpers import some_cameras


def test_zero_channels_start_every_gaussian_at_the_published_values():
    config, cameras = ModelConfig(), some_cameras()
    gaussians = activate(torch.zeros(2, 4, 32, 32, 16), cameras, config)
    origins, directions = cameras.rays()
    torch.testing.assert_close(gaussians.means, (origins + 250.0 * directions).flatten(1, 3))
    torch.testing.assert_close(gaussians.scales, torch.full((2, 4096, 3), math.exp(-6.9)))
    torch.testing.assert_close(gaussians.opacities, torch.full((2, 4096), 1 / (1 + math.exp(2))))
    torch.testing.assert_close(gaussians.colors, torch.full((2, 4096, 3), 0.5))


def test_channels_in_the_published_order():
    config, cameras = ModelConfig(), some_cameras()
    raw = torch.randn(2, 4, 32, 32, 16)
    raw[..., 2:5] = torch.tensor([-9.0, -6.0, -6.0])  # distance: the mean, -7
    raw[..., 8:11] = torch.tensor([0.0, 2.0, 9.0])  # scale: the last one is capped
    g = activate(raw, cameras, config)
    origins, directions = cameras.rays(torch.sigmoid(raw[..., :2]) - 0.5)
    distance = 500 / (1 + math.exp(7))
    torch.testing.assert_close(g.means, (origins + distance * directions).flatten(1, 3))
    expected = (0.5 + 0.28209479 * raw[..., 5:8]).clamp(min=0).flatten(1, 3)
    torch.testing.assert_close(g.colors, expected)
    scales = torch.tensor([math.exp(-6.9), math.exp(-4.9), math.exp(-1.2)])
    torch.testing.assert_close(g.scales, scales.expand(2, 4096, 3))
    torch.testing.assert_close(g.quats.norm(dim=-1), torch.ones(2, 4096))
    unit = raw[..., 11:15] / raw[..., 11:15].norm(dim=-1, keepdim=True)
    torch.testing.assert_close(g.quats, unit.flatten(1, 3))
    torch.testing.assert_close(g.opacities, torch.sigmoid(raw[..., 15] - 2).flatten(1))


def test_full_resolution_viewpoints_have_no_offset():
    config, cameras = ModelConfig(viewpoint_scale="F"), some_cameras()
    g = activate(torch.zeros(2, 4, 32, 32, 14), cameras, config)
    origins, directions = cameras.rays()
    torch.testing.assert_close(g.means, (origins + 250.0 * directions).flatten(1, 3))


def test_log_distance_and_footprint_scales():
    config = ModelConfig(
        near=0.5, far=8.0, distance="log", scale_unit="footprint", scale_bias=0.0, scale_max=1.0
    )
    cameras = some_cameras()
    g = activate(torch.zeros(2, 4, 32, 32, 16), cameras, config)
    distance = (g.means.view(2, 4, -1, 3) - cameras.c2w[..., None, :3, 3]).norm(dim=-1)
    torch.testing.assert_close(distance, torch.full_like(distance, 2.0))  # geometric mean
    focal = cameras.fxfycxcy[0, 0, :2].mean()
    torch.testing.assert_close(g.scales, (2.0 / focal).expand_as(g.scales))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_activations_are_fp32(dtype):
    g = activate(torch.zeros(2, 4, 32, 32, 16, dtype=dtype), some_cameras(), ModelConfig())
    assert {g.means.dtype, g.scales.dtype, g.colors.dtype} == {torch.float32}
