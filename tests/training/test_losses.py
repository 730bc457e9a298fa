"""The training objective, term by term."""

import math

import pytest
import torch
import torch.nn.functional as F

from ilrm.config import TrainConfig
from ilrm.errors import WeightsError
from ilrm.gaussians import Gaussians
from ilrm.metrics import ssim
from ilrm.training import losses
from ilrm.training.losses import Loss, VGGLoss, depth_loss
from tests.helpers import some_cameras


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))


def test_mse_alone_and_with_the_ssim_term(pair):
    pred, target = pair
    total, parts = Loss(TrainConfig(perceptual="none"))(pred, target)
    assert set(parts) == {"mse"}
    torch.testing.assert_close(total, F.mse_loss(pred, target))
    total, parts = Loss(TrainConfig(perceptual="ssim", perceptual_weight=0.5))(pred, target)
    expected = F.mse_loss(pred, target) + 0.5 * (1 - ssim(pred, target).mean())
    torch.testing.assert_close(total, expected)


def random_trunk(monkeypatch):
    """Random convolutions in VGG19's shapes: what the loss computes does not depend on their values."""
    torch.manual_seed(0)
    weights, channels = [], 3
    for entry in [64, 64, 128, 128, *[256] * 4, *[512] * 8]:
        weights.append(
            (torch.randn(entry, channels, 3, 3) * (2 / (9 * channels)) ** 0.5, torch.zeros(entry))
        )
        channels = entry
    monkeypatch.setattr("ilrm.perceptual.trunk_weights", lambda net: tuple(weights))
    return weights


def test_perceptual_term_is_the_published_sum(monkeypatch, pair):
    weights = random_trunk(monkeypatch)
    pred, target = pair

    def features(x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        x, taps, index = (x - mean) / std, [], 0
        for convolutions in (2, 2, 4, 4, 4):
            for i in range(convolutions):
                x, index = F.relu(F.conv2d(x, *weights[index], padding=1)), index + 1
                if i == 1:
                    taps.append(x)  # relu1_2, relu2_2, relu3_2, relu4_2, relu5_2
            x = F.avg_pool2d(x, 2)
        return taps

    expected = F.l1_loss(pred, target)
    for a, b, weight in zip(
        features(pred),
        features(target),
        (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5),
        strict=True,
    ):
        expected = expected + weight * (0.229 + 0.224 + 0.225) / 3 * F.l1_loss(a, b)
    torch.testing.assert_close(VGGLoss("vgg19")(pred, target), expected)


def test_gradients_reach_the_prediction_and_not_the_trunk(monkeypatch, pair):
    random_trunk(monkeypatch)
    pred, target = pair
    pred = pred.requires_grad_()
    loss = VGGLoss("vgg19")
    loss(pred, target).backward()
    assert pred.grad is not None and pred.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_vgg16_has_the_same_five_layers():
    layers = losses.VGG_TERMS["vgg16"]
    assert [weight for _, weight in layers] == [weight for _, weight in losses.VGG_TERMS["vgg19"]]
    try:
        loss = VGGLoss("vgg16")
    except WeightsError as error:
        pytest.skip(str(error))
    taps = [loss.features[index] for index, _ in layers]
    assert all(isinstance(tap, torch.nn.ReLU) for tap in taps)
    widths = [loss.features[index - 1].out_channels for index, _ in layers]
    assert widths == [64, 128, 256, 512, 512]


def test_missing_weights_stop_training_and_never_change_the_loss(monkeypatch):
    def missing(net):
        raise WeightsError(f"ImageNet weights of {net} not found")

    monkeypatch.setattr("ilrm.perceptual.trunk_weights", missing)
    with pytest.raises(WeightsError, match="vgg19"):
        Loss(TrainConfig(perceptual="vgg19"))


def test_depth_loss_is_zero_at_the_true_depth_and_counts_octaves_off_it():
    """Gaussians placed on the rays of their own viewpoint pixels, at a multiple of the true depth."""
    cameras = some_cameras()
    depths = 2.0 + torch.rand(2, 4, 1, 1).expand(2, 4, 32, 32)  # a plane per view
    viewpoints = cameras.downscaled(2)
    origins, directions = viewpoints.rays()
    forward = cameras.c2w[..., None, None, :3, 2]
    per_distance = (directions * forward).sum(-1, keepdim=True)  # z at distance 1

    def loss(multiple):
        distance = multiple * depths[..., ::2, ::2, None] / per_distance
        means = (origins + distance * directions).flatten(1, 3).requires_grad_()
        count = means.shape[:2]
        gaussians = Gaussians(
            means, torch.ones(*count, 4), torch.ones(*count, 3), torch.ones(count), means
        )
        return depth_loss(gaussians, cameras, depths, factor=2), means

    assert float(loss(1.0)[0]) == pytest.approx(0, abs=1e-5)
    assert float(loss(2.0)[0]) == pytest.approx(math.log(2), abs=1e-5)
    assert float(loss(0.5)[0]) == pytest.approx(math.log(2), abs=1e-5)
    value, means = loss(1.5)
    value.backward()
    assert means.grad.isfinite().all() and means.grad.abs().sum() > 0
