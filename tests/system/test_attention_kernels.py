"""The attention kernel: chosen by a measurement or by name on CUDA, left alone on a CPU."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.nn import attention

from ilrm.errors import ConfigError
from ilrm.system import attention_kernels as kernels
from ilrm.system.environment import describe

CUDA = torch.device("cuda", 0)  # nothing is run on it here


@pytest.fixture(autouse=True)
def as_before():
    yield
    kernels._preferred.close()
    kernels._chosen.cache_clear()


def order() -> list[attention.SDPBackend]:
    return attention._cur_sdpa_kernel_backends(with_priority=True)


def test_a_cpu_keeps_torchs_own_order(monkeypatch):
    monkeypatch.setattr(kernels, "_seconds", lambda *_: pytest.fail("measured"))
    before = order()
    assert kernels.choose_attention(torch.device("cpu")) is None
    assert describe(torch.device("cpu"))["attention"] is None
    assert order() == before


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"flash": 2.0, "cudnn": 1.0}, "cudnn"),
        ({"flash": 1.0, "cudnn": 2.0}, "flash"),
        ({"flash": math.inf, "cudnn": 9.0}, "cudnn"),
        ({"flash": math.inf, "cudnn": math.inf}, "flash"),
    ],
)
def test_the_faster_kernel_comes_first(seconds, chosen, monkeypatch):
    calls = []
    monkeypatch.setattr(kernels, "_seconds", lambda name, _: calls.append(name) or seconds[name])
    for _ in range(2):
        assert kernels.choose_attention(CUDA) == chosen
    assert sorted(calls) == ["cudnn", "flash"]  # once a process
    assert order()[0] is kernels.KERNELS[chosen] and len(order()) >= 4


def test_the_option_decides_without_a_measurement(monkeypatch):
    monkeypatch.setattr(kernels, "_seconds", lambda *_: pytest.fail("measured"))
    monkeypatch.setenv(kernels.OPTION, "cudnn")
    assert kernels.choose_attention(CUDA) == "cudnn"
    assert order()[0] is attention.SDPBackend.CUDNN_ATTENTION
    monkeypatch.setenv(kernels.OPTION, "fast")
    with pytest.raises(ConfigError, match="ILRM_ATTENTION='fast': give one of flash, cudnn"):
        kernels.choose_attention(CUDA)


def test_a_kernel_that_does_not_run_takes_forever_and_order_changes_no_result():
    cpu = torch.device("cpu")
    assert kernels._seconds("cudnn", cpu) == math.inf or kernels._seconds("cudnn", cpu) > 0
    q = torch.randn(1, 2, 8, 16)
    before = F.scaled_dot_product_attention(q, q, q)
    kernels.prefer("cudnn")
    assert torch.equal(F.scaled_dot_product_attention(q, q, q), before)
