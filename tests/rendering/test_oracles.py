"""The CPU backend against an independent compositor, gsplat's reference and gsplat on CUDA."""

import pytest
import torch

from benchmarks.gsplat_reference import reference
from ilrm.rendering import rasterization
from tests.rendering.compositor import compose
from tests.rendering.scenes import gradients, random_scene, with_gradients


def assert_gradients_close(ours, theirs, tolerance):
    for name, gradient in ours.items():
        expected = theirs[name].to(gradient)
        assert (gradient - expected).norm() <= tolerance * expected.norm(), name


@pytest.mark.parametrize(
    ("degree", "mode", "antialiased", "footprint"),
    [
        (0, "RGB", False, 3.0),
        (1, "RGB+D", False, 1.2),
        (2, "RGB", True, 0.4),
        (3, "RGB+D", True, 1.2),
        (None, "RGB", False, 8.0),
    ],
)
def test_compositor(degree, mode, antialiased, footprint):
    scene = random_scene(bases=16, footprint=footprint, seed=degree or 0)
    if degree is None:
        scene["colors"] = scene["colors"][:, 0].abs()
    scene, exact = with_gradients(scene), {}
    for key, value in scene.items():
        exact[key] = value.detach().double() if torch.is_tensor(value) else value
    exact = with_gradients(exact)
    background = torch.tensor([0.2, 0.5, 0.9])
    image, alpha, _ = rasterization(
        **scene,
        sh_degree=degree,
        backgrounds=background.expand(2, 3),
        render_mode=mode,
        rasterize_mode="antialiased" if antialiased else "classic",
    )
    depth = mode == "RGB+D"
    expected, expected_alpha = compose(
        **exact,
        degree=degree,
        background=torch.cat([background, torch.zeros(1)]) if depth else background,
        antialiased=antialiased,
        depth=depth,
    )
    assert (image - expected).abs().max() < 1e-4
    assert (alpha - expected_alpha).abs().max() < 1e-4
    assert_gradients_close(
        gradients([image, alpha], scene), gradients([expected, expected_alpha], exact), 1e-3
    )


@pytest.mark.parametrize(
    ("batch", "mode", "options"),
    [
        ((), "RGB", {"sh_degree": 1}),
        ((), "RGB+D", {"sh_degree": 0}),
        ((), "RGB+ED", {"sh_degree": 2}),
        ((), "RGB", {"sh_degree": 3, "rasterize_mode": "antialiased"}),
        ((), "D", {"sh_degree": 0}),
        ((), "ED", {"sh_degree": 1, "rasterize_mode": "antialiased"}),
        ((2,), "RGB+ED", {"sh_degree": 1}),
        ((2, 2), "RGB", {"sh_degree": 3}),
        ((2,), "RGB", {}),
        ((2,), "RGB", {"per_camera": True}),
    ],
)
def test_gsplat_reference(batch, mode, options):
    scene, options = random_scene(batch, cameras=2, bases=16, seed=5), dict(options)
    if "sh_degree" not in options:  # five channels, no harmonics
        scene["colors"] = scene["colors"].flatten(-2)[..., :5]
    if options.pop("per_camera", False):
        scene["colors"] = torch.stack([scene["colors"], -scene["colors"]], -3)
    channels = 3 if "sh_degree" in options else 5
    options |= {"render_mode": mode, "backgrounds": torch.rand(*batch, 2, channels)}
    ours, theirs = with_gradients(scene), with_gradients(scene)
    image, alpha, meta = rasterization(**ours, **options, packed=False)
    expected, expected_alpha, expected_meta = reference(**theirs, **options)
    assert image.shape == expected.shape
    torch.testing.assert_close(alpha, expected_alpha, atol=1e-4, rtol=0)
    covered = alpha > 1e-2  # an expected depth over next to no alpha is rounding noise
    error = (image - expected).abs() * (covered if mode.endswith("ED") else 1)
    assert error.max() < 1e-3
    visible = (meta["radii"] > 0).all(-1)
    assert visible.any()
    for key in ("means2d", "depths", "conics"):
        difference = (meta[key] - expected_meta[key])[visible].abs().max()
        assert difference <= 1e-4 * expected_meta[key][visible].abs().max(), key
    assert {"opacities", "tile_width", "n_cameras", "n_batches"} <= meta.keys()
    if not mode.endswith("ED"):
        found = gradients([image, alpha], ours)
        assert_gradients_close(found, gradients([expected, expected_alpha], theirs), 1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: gsplat cannot run")
@pytest.mark.parametrize("mode", ["RGB", "RGB+ED"])
def test_gsplat_on_cuda(mode):
    scene = random_scene((2,), cameras=3, bases=4, seed=7)
    options = {"sh_degree": 1, "render_mode": mode, "packed": False}
    ours = with_gradients(scene)
    moved = {k: v.cuda() if torch.is_tensor(v) else v for k, v in scene.items()}
    theirs = with_gradients(moved)
    image, alpha, _ = rasterization(**ours, **options)
    expected, expected_alpha, _ = rasterization(**theirs, **options)
    covered = alpha > 1e-2  # an expected depth over next to no alpha is rounding noise
    for a, b in ((alpha, expected_alpha.cpu()), (image * covered, expected.cpu() * covered)):
        # where a Gaussian's alpha is 1/255 to the last bit, one side draws it and the other does not
        assert ((a - b).abs() > 1e-3).float().mean() < 1e-3
    found = gradients([image[..., :3], alpha], ours)
    wanted = gradients([expected[..., :3], expected_alpha], theirs)
    assert_gradients_close(found, {k: v.cpu() for k, v in wanted.items()}, 5e-3)
