"""Schedule, parameter groups, and the orthogonalised update."""

import math

import pytest
import torch

from ilrm.config import TrainConfig
from ilrm.model import ILRM
from ilrm.presets import model_config
from ilrm.training.optimizers import (
    Muon,
    _newton_schulz,
    make_optimizers,
    orthogonalize,
    schedule,
    set_learning_rates,
)


def test_schedule_warms_up_linearly_and_falls_as_a_cosine():
    config = TrainConfig(steps=1000, warmup=100)
    assert schedule(0, config) == pytest.approx(0.01)
    assert schedule(99, config) == schedule(100, config) == pytest.approx(1.0)
    assert schedule(550, config) == pytest.approx(0.5)
    assert schedule(1000, config) == pytest.approx(0.0)


def test_muon_can_have_a_peak_of_its_own():
    for matrix_lr, expected in ((None, 0.5), (2.0, 1.0)):
        config = TrainConfig(steps=1000, warmup=100, lr=1.0, matrix_lr=matrix_lr, optimizer="muon")
        optimizers = make_optimizers(ILRM(model_config("smoke")), config)
        set_learning_rates(optimizers, 550, config)
        adamw, muon = (optimizer.param_groups[0]["lr"] for optimizer in optimizers)
        assert adamw == pytest.approx(0.5)
        assert muon == pytest.approx(expected)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer_and_norms_do_not_decay(name):
    model = ILRM(model_config("smoke"))
    optimizers = make_optimizers(model, TrainConfig(optimizer=name, weight_decay=0.05))
    seen: dict[int, float] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                assert id(p) not in seen
                seen[id(p)] = group["weight_decay"]
    for parameter_name, p in model.named_parameters():
        norm = "norm" in parameter_name or parameter_name == "head.0.weight"
        assert seen[id(p)] == (0.0 if norm else 0.05), parameter_name


def test_bf16_is_enough_for_the_iteration():
    x = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = _newton_schulz(x.bfloat16()).float()
    assert ((found - orthogonalize(x)).norm() / found.norm()) < 0.02


def test_momentum_is_made_once(monkeypatch):
    p = torch.nn.Parameter(torch.randn(8, 8))
    muon = Muon([p], lr=0.1)
    for _ in range(2):
        p.grad = torch.randn(8, 8)
        muon.step()
        monkeypatch.setattr(torch, "zeros_like", lambda *_: pytest.fail("allocated again"))


def test_orthogonalize_brings_singular_values_near_one():
    x = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(x))
    u, _, v = torch.linalg.svd(x)
    assert values[:, :-4].min() > 0.5 and values.max() < 1.3
    alignment = (orthogonalize(x) * (u @ v)).sum((1, 2)) / 32
    assert (alignment > 0.8).all()


@pytest.mark.parametrize("shape", [(32, 32), (96, 32), (32, 128)])
def test_muon_moves_each_stacked_map_by_the_same_size(shape):
    """The first step of every D x D part has RMS near 0.2 lr, whatever the size of its gradient."""
    p = torch.nn.Parameter(torch.zeros(shape))
    p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    parts = p.grad.view(-1, 32, 32) if shape[1] == 32 else p.grad.view(32, -1, 32).transpose(0, 1)
    parts.mul_(torch.logspace(-3, 3, len(parts)).view(-1, 1, 1))
    Muon([p], lr=0.1).step()
    moved = p.data.view(-1, 32, 32) if shape[1] == 32 else p.data.view(32, -1, 32).transpose(0, 1)
    rms = moved.square().mean((1, 2)).sqrt()
    assert (rms > 0.2 * 0.1 * 0.7).all() and (rms < 0.2 * 0.1 * 1.2).all()
    assert ((moved * parts).sum((1, 2)) < 0).all()  # downhill


def test_muon_minimises_a_quadratic_and_restores_its_state():
    torch.manual_seed(0)
    target = torch.randn(16, 16)
    p = torch.nn.Parameter(torch.zeros(16, 16))
    optimizer = Muon([p], lr=0.3)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 200)
        p.grad = p.detach() - target
        optimizer.step()
    assert (p - target).norm() < 0.1 * target.norm()
    again = Muon([torch.nn.Parameter(p.detach().clone())], lr=0.3)
    again.load_state_dict(optimizer.state_dict())
    torch.testing.assert_close(
        next(iter(again.state.values()))["momentum"], optimizer.state[p]["momentum"]
    )
    assert math.isfinite(p.sum().item())
