"""Threads, edge cases and error messages of the CPU backend."""

import os
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
import torch
from torch.utils.data import DataLoader

from ilrm.cameras import Cameras
from ilrm.errors import IlrmError, NonFiniteError, RasterizationError
from ilrm.gaussians import Gaussians
from ilrm.rendering import rasterization, render
from tests.rendering.scenes import gradients, random_scene, with_gradients


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def images_and_gradients(scene):
    scene = with_gradients(scene)
    image, alpha, _ = rasterization(**scene, sh_degree=1)
    return [image, alpha, *gradients([image, alpha], scene).values()]


@pytest.mark.parametrize(("batch", "size"), [((5,), 40), ((), 100)])
def test_number_of_threads_changes_nothing(threads, batch, size):
    scene = random_scene(batch, cameras=1, size=size, count=300)
    threads(1)
    expected = images_and_gradients(scene)
    for number in (2, 3):
        threads(number)
        for ours, theirs in zip(images_and_gradients(scene), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_concurrent_calls():
    scenes = [random_scene((2,), seed=k) for k in range(4)]
    expected = [images_and_gradients(s) for s in scenes]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(images_and_gradients, scenes * 4))
    for k, result in enumerate(results):
        assert all(torch.equal(a, b) for a, b in zip(result, expected[k % 4], strict=True))


class RenderedScenes(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        scene = random_scene(seed=index)
        with mock.patch.object(torch, "get_num_threads", return_value=2):  # workers start with 1
            return rasterization(**scene, sh_degree=1)[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_workers():
    expected = [RenderedScenes()[k] for k in range(4)]  # the parent's pool exists before the fork
    loader = DataLoader(RenderedScenes(), batch_size=None, num_workers=2, timeout=60)
    for image, wanted in zip(loader, expected, strict=True):
        assert torch.equal(image, wanted)


def test_no_grad():
    scene = with_gradients(random_scene())
    with torch.no_grad():
        image, alpha, meta = rasterization(**scene, sh_degree=1)
    assert not image.requires_grad and not alpha.requires_grad
    assert meta["gaussian_ids"].shape == meta["depths"].shape  # packed by default


@pytest.mark.parametrize("kind", ["no Gaussians", "behind", "transparent"])
def test_nothing_to_see(kind):
    scene = random_scene(count=0 if kind == "no Gaussians" else 50)
    if kind == "behind":
        scene["means"][:, 2] -= 20
    if kind == "transparent":
        scene["opacities"] *= 0
    scene = with_gradients(scene)
    background = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    image, alpha, meta = rasterization(
        **scene, sh_degree=1, backgrounds=background, render_mode="RGB+ED", packed=False
    )
    assert torch.equal(image[..., :3], background[:, None, None].expand_as(image[..., :3]))
    assert not alpha.any() and not image[..., 3].any() and not meta["radii"].any()
    assert not any(g.any() for g in gradients([image, alpha], scene).values())


def test_near_far_and_radius_clip():
    scene = random_scene()
    depths = rasterization(**scene, sh_degree=1, packed=False)[2]["depths"]
    *_, meta = rasterization(
        **scene, sh_degree=1, packed=False, near_plane=3, far_plane=4, radius_clip=3
    )
    seen = (meta["radii"] > 0).all(-1)
    assert seen.any() and ((depths[seen] >= 3) & (depths[seen] <= 4)).all()
    assert (meta["radii"][seen].amax(-1) > 3).all()


def test_equal_depths_keep_their_order():
    scene = random_scene(cameras=1, count=2)
    scene["viewmats"] = torch.eye(4)[None]
    scene["means"][:] = torch.tensor([0.0, 0.0, 3.0])
    scene["scales"][:], scene["opacities"][:] = 1.0, 0.9
    colors = torch.eye(3)[:2]  # red, then green
    scene["colors"] = colors
    image, _, _ = rasterization(**scene)
    assert (image[..., 0] > image[..., 1]).all()


def test_background_gradient():
    scene, background = random_scene(), torch.rand(2, 3, requires_grad=True)
    image, alpha, _ = rasterization(**scene, sh_degree=1, backgrounds=background)
    image.sum().backward()
    expected = (1 - alpha).sum((1, 2)).expand(2, 3)
    torch.testing.assert_close(background.grad, expected)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"quats": torch.zeros(120, 3)}, RasterizationError, r"quats has shape \[120, 3\]"),
        ({"scales": torch.ones(120, 3).double()}, RasterizationError, r"scales .* \.float\(\)"),
        ({"colors": torch.zeros(7, 4, 3)}, RasterizationError, "colors has shape"),
        ({"sh_degree": 2}, RasterizationError, "needs 9 coefficients"),
        ({"sh_degree": 4}, RasterizationError, "degree from 0 to 3"),
        ({"render_mode": "depth"}, RasterizationError, "RGB\\+ED"),
        ({"rasterize_mode": "sharp"}, RasterizationError, "antialiased"),
        ({"width": 0}, RasterizationError, "must be positive"),
        ({"backgrounds": torch.ones(3)}, RasterizationError, r"backgrounds .* \[2, 3\]"),
        ({"Ks": torch.full((2, 3, 3), torch.nan)}, NonFiniteError, r"Ks\[0, 0, 0\] is nan"),
        ({"absgrad": True, "with_ut": True}, RasterizationError, "'absgrad', 'with_ut'"),
        ({"covars": torch.ones(120, 3, 3)}, RasterizationError, "covars"),
        (
            {"viewmats": torch.eye(4).repeat(2, 1, 1).requires_grad_()},
            RasterizationError,
            "detach",
        ),
    ],
)
def test_errors(change, error, words):
    assert issubclass(error, IlrmError)
    with pytest.raises(error, match=words):
        rasterization(**({"sh_degree": 1} | random_scene() | change))


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors"])
def test_non_finite_gaussians_are_named(name):
    scene = random_scene()
    scene[name][3] = float("nan") if name != "scales" else float("inf")
    with pytest.raises(NonFiniteError, match=rf"{name}\[3"):
        rasterization(**scene, sh_degree=1)


def test_unknown_option():
    with pytest.raises(TypeError, match="tile_sise"):
        rasterization(**random_scene(), sh_degree=1, tile_sise=8)


def gaussians_and_cameras():
    scene = random_scene((2,), cameras=3)
    focal = torch.stack([scene["Ks"][..., k, j] for k, j in ((0, 0), (1, 1), (0, 2), (1, 2))], -1)
    cameras = Cameras(focal, scene["viewmats"].inverse(), scene["height"], scene["width"])
    names = ("means", "quats", "scales", "opacities")
    return scene, Gaussians(*(scene[k] for k in names), scene["colors"]), cameras


def test_render():
    scene, gaussians, cameras = gaussians_and_cameras()
    white = torch.ones(2, 3, 3)
    expected, alpha, _ = rasterization(
        **scene, sh_degree=1, backgrounds=white, render_mode="RGB+ED"
    )
    rendering = render(gaussians, cameras, depth=True)
    torch.testing.assert_close(
        rendering.images, expected[..., :3].movedim(-1, 2), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(rendering.alphas, alpha.movedim(-1, 2), atol=1e-4, rtol=0)
    assert rendering.depths is not None and rendering.depths.shape == (2, 3, 1, 37, 40)
    assert render(gaussians, cameras).depths is None


def test_render_plain_colors_in_fp32_under_autocast():
    _, gaussians, cameras = gaussians_and_cameras()
    plain = Gaussians(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities,
        gaussians.colors[:, :, 0].abs().bfloat16(),
    )  # fmt: skip
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = render(plain, cameras, background=0.0).images
    assert images.dtype == torch.float32
    assert torch.equal(images, render(plain, cameras, background=0.0).images)
