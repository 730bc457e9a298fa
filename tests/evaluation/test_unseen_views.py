"""Gaussians of some views, thinned opacities, and the PSNR of each."""

import pytest
import torch

from ilrm.data.procedural.samples import example_scenes
from ilrm.evaluation.unseen_views import ALL, SOME, THINNED, of_views, psnr_by_gaussians, thinned


@pytest.fixture(scope="module")
def model(smoke_run):
    return smoke_run.model()


@pytest.fixture(scope="module")
def batch(smoke_run):
    (scene,) = example_scenes(smoke_run.config.data, 1)
    return scene.batch


def test_gaussians_of_a_view_lie_on_its_rays(model, batch):
    views = batch.inputs.images.shape[1]
    gaussians = model(batch.inputs)
    for view in range(views):
        some = of_views(gaussians, views, [view])
        assert len(some) == len(gaussians) // views
        w2c = batch.inputs.cameras.w2c[0, view]
        local = some.means[0] @ w2c[:3, :3].mT + w2c[:3, 3]
        fx, fy, cx, cy = batch.inputs.cameras.fxfycxcy[0, view]
        x = local[:, 0] / local[:, 2] * fx + cx
        y = local[:, 1] / local[:, 2] * fy + cy
        factor = model.config.viewpoint_factor
        columns = batch.inputs.cameras.width // factor
        index = torch.arange(len(some))
        # within half a pixel of the viewpoint, in pixels of the image
        assert ((x - factor * (index % columns + 0.5)).abs() <= factor / 2 + 1e-3).all()
        assert ((y - factor * (index // columns + 0.5)).abs() <= factor / 2 + 1e-3).all()


def test_thinned_gaussians_let_through_what_fewer_did(model, batch):
    gaussians = model(batch.inputs)
    through = (1 - thinned(gaussians, 2 / 3).opacities) ** 3
    torch.testing.assert_close(through, (1 - gaussians.opacities) ** 2)


def test_no_added_view_makes_no_difference(model, batch):
    every = range(batch.inputs.images.shape[1])
    measured = psnr_by_gaussians(model, batch, every, 1.0)
    assert measured[SOME] == measured[ALL]
    assert measured[THINNED] == pytest.approx(measured[ALL], abs=1e-4)
    fewer = psnr_by_gaussians(model, batch, every[:1], 0.5)
    assert fewer[ALL] == measured[ALL] != fewer[SOME]
    assert fewer[THINNED] != measured[ALL]
