"""Post-prediction optimisation against a plain loop."""

from dataclasses import replace

import pytest
import torch

from ilrm.gaussians import SH_DEGREE_0
from ilrm.reconstruction.optimization import SplatParameters, refine
from ilrm.rendering import rasterization, render
from ilrm.views import Views
from tests.export.test_ply import some_gaussians
from tests.helpers import some_cameras


@pytest.fixture(scope="module")
def case():
    """Gaussians a little off, and three views of the right ones."""
    cameras, right = some_cameras(batch=1, views=3), some_gaussians(60)
    views = Views(render(right, cameras).images.detach(), cameras)
    g = torch.Generator().manual_seed(3)
    wrong = replace(
        right,
        means=right.means + 0.02 * torch.randn(right.means.shape, generator=g),
        colors=(right.colors + 0.1 * torch.randn(right.colors.shape, generator=g)).clamp(min=0.01),
    )
    return wrong, views


def error(gaussians, views) -> float:
    with torch.no_grad():
        return float((render(gaussians, views.cameras).images - views.images).square().mean())


def test_parameters_are_the_inverse_of_the_activations(case):
    gaussians = case[0]
    again = SplatParameters.from_gaussians(gaussians).gaussians()
    for name in ("means", "quats", "scales", "opacities", "colors"):
        torch.testing.assert_close(getattr(again, name), getattr(gaussians, name))


def test_no_steps_change_nothing(case):
    torch.testing.assert_close(refine(*case, steps=0).means, case[0].means, atol=0, rtol=0)


def test_it_is_ten_steps_of_adam_on_all_views_at_once(case):
    """An independent loop, full batch in one rendering, with the paper's rates written out."""
    gaussians, views = case
    means = gaussians.means.clone().requires_grad_()
    rest = [
        gaussians.scales.log(),
        gaussians.quats.clone(),
        torch.log(gaussians.opacities / (1 - gaussians.opacities)),
        (gaussians.colors - 0.5) / SH_DEGREE_0,
    ]
    rest = [r.detach().requires_grad_() for r in rest]
    optimizers = [
        torch.optim.Adam([means], 6e-4, eps=1e-15),
        torch.optim.Adam(rest, 1e-3, eps=1e-15),
    ]
    for _ in range(10):
        image, _, _ = rasterization(
            means[0],
            rest[1][0] / rest[1][0].norm(dim=-1, keepdim=True),
            torch.exp(rest[0][0]),
            1 / (1 + torch.exp(-rest[2][0])),
            torch.relu(0.5 + SH_DEGREE_0 * rest[3][0]),
            views.cameras.w2c[0],
            views.cameras.K[0],
            32,
            32,
            backgrounds=torch.ones(3, 3),
        )
        loss = torch.nn.functional.mse_loss(image, views.images[0].permute(0, 2, 3, 1))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    seen = []
    refined = refine(gaussians, views, 10, lambda step, g: seen.append((step, error(g, views))))
    torch.testing.assert_close(refined.means, means.detach(), atol=2e-5, rtol=0)
    torch.testing.assert_close(refined.scales, rest[0].detach().exp(), atol=2e-5, rtol=1e-4)
    assert [step for step, _ in seen] == list(range(1, 11))
    assert seen[-1][1] < 0.9 * error(gaussians, views)


def test_gradients_of_the_projected_means(case):
    """Moving a projected mean by a pixel is moving the principal point the other way for it alone."""
    gaussians, views = case
    one = {
        "means": (views.cameras.c2w[0, 0, :3, 3] + 3 * views.cameras.c2w[0, 0, :3, 2])[None],
        "quats": gaussians.quats[0, :1],
        "scales": gaussians.scales[0, :1],
        "opacities": gaussians.opacities[0, :1],
        "colors": gaussians.colors[0, :1],
        "viewmats": views.cameras.w2c[0, :1],
        "width": 32,
        "height": 32,
        "packed": False,
    }
    weights = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    one["means"].requires_grad_()
    image, _, meta = rasterization(**one, Ks=views.cameras.K[0, :1], means2d_grad=True)
    (image * weights).sum().backward()
    found = meta["means2d"].grad
    assert found.shape == (1, 1, 2) and found.abs().max() > 1e-3
    for axis in (0, 1):
        values = []
        for shift in (-0.05, 0.05):
            intrinsics = views.cameras.K[0, :1].clone()
            intrinsics[0, axis, 2] += shift
            with torch.no_grad():
                values.append((rasterization(**one, Ks=intrinsics)[0] * weights).sum())
        slope = (values[1] - values[0]) / 0.1
        torch.testing.assert_close(found[0, 0, axis], slope, rtol=0.02, atol=2e-3)
