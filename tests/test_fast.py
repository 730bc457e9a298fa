"""Fast inference: the same Gaussians; nothing in the forward pass that breaks a graph or waits."""

import dataclasses

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ilrm.cameras import Cameras
from ilrm.config import ModelConfig
from ilrm.fast import FastILRM
from ilrm.model import ILRM
from ilrm.views import Views
from tests.helpers import some_views
from tests.test_model import TINY, VARIANTS

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
FIXED = [fields for fields in VARIANTS if fields.get("minibatch_pattern") != "random"]


def test_on_a_cpu_it_is_the_model_itself():
    torch.manual_seed(0)
    model = ILRM(ModelConfig(**TINY)).eval()
    views = some_views()
    fast = FastILRM(model, torch.device("cpu"))
    with torch.no_grad():
        expected = model(views)
    for name, value in vars(fast(views)).items():
        assert torch.equal(value, getattr(expected, name)), name
    assert all(p.requires_grad for p in model.parameters())  # the model that came in is left alone


@pytest.mark.parametrize("fields", FIXED, ids=str)
def test_blocks_compile_without_a_graph_break(fields):
    """Each block traces to one whole graph; `fullgraph=True` raises at a break."""
    torch._dynamo.reset()
    config = ModelConfig(**{**TINY, **fields})
    torch.manual_seed(0)
    model = ILRM(config).eval()
    views = some_views(batch=1)
    with torch.no_grad():
        expected = model.encode(views)
        for block in model.blocks:
            block.compile(fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(model.encode(views), expected)


def test_blocks_of_a_kind_share_one_compiled_graph():
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    model = ILRM(ModelConfig(**{**TINY, "layers": 6})).eval()
    for block in model.blocks:
        block.compile(backend=counter)
    with torch.no_grad():
        model.encode(some_views(batch=1))
    assert counter.frame_count == 2  # cross and self, not 12


@pytest.mark.parametrize("fields", FIXED, ids=str)
def test_the_forward_pass_asks_the_device_for_no_value(fields):
    """Tensors without data raise where a value of theirs is asked for: a host synchronisation."""
    config = ModelConfig(**{**TINY, **fields})
    with FakeTensorMode():
        model = ILRM(config)
        cameras = Cameras(torch.empty(1, 4, 4), torch.empty(1, 4, 4, 4), 32, 32)
        gaussians = model(Views(torch.empty(1, 4, 3, 32, 32), cameras))
    assert len(gaussians) == 4 * 32 * 32 // config.viewpoint_factor**2


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("side", [64, 512], ids=["captured", "uncaptured"])
def test_on_cuda_it_gives_the_models_gaussians_to_bf16(side):
    torch.manual_seed(0)
    config = dataclasses.replace(ModelConfig(), layers=2, near=0.6, far=15.0, distance="log")
    device = torch.device("cuda")
    model = ILRM(config).eval().to(device)
    fast = FastILRM(model, device)
    for seed in (0, 1):  # a replay reads the new inputs
        views = some_views(batch=1, views=8, height=side, width=side, seed=seed).to(device)
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            expected = model(views)
        found = fast(views)
        for name, value in vars(expected).items():
            # as a whole: of so many quaternions some are nearly zero before they are normalised
            assert (getattr(found, name) - value).norm() < 0.02 * value.norm(), name


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_no_step_of_the_forward_pass_waits_for_the_device():
    device = torch.device("cuda")
    fast = FastILRM(ILRM(ModelConfig(layers=2)), device, compile=False)
    views = some_views(batch=1, height=256, width=256).to(device)
    fast.uncaptured(views)
    torch.cuda.set_sync_debug_mode("error")
    try:
        fast.uncaptured(views)
    finally:
        torch.cuda.set_sync_debug_mode("default")
