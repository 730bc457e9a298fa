"""Memory of training: the closed form against what autograd keeps, to the byte."""

import pytest

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.cost.memory import Saved, Workload, saved_bytes, training_memory
from ilrm.model import ILRM
from tests.helpers import some_views
from tests.test_model import VARIANTS


@pytest.mark.parametrize("checkpointing", [False, True], ids=["stored", "checkpointed"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_closed_form_is_what_autograd_keeps(fields, precision, checkpointing):
    config = ModelConfig(**{"layers": 2, "width": 48, "heads": 3, "patch": 4, **fields})
    work = Workload(config, 4, 32, 64, 2, precision, checkpointing)
    assert saved_bytes(work) == training_memory(work).saved


def test_tensors_with_data_are_kept_alike():
    config = ModelConfig(layers=2, width=48, heads=3, patch=4)
    model = ILRM(config).train()
    saved = Saved(model)
    with saved:
        model.head(model.encode(some_views(batch=2, views=4, height=32, width=64)))
    assert saved.total() == saved_bytes(Workload(config, 4, 32, 64, 2))


def test_peak_holds_weights_gradients_moments_and_what_is_kept():
    work = Workload(ModelConfig(layers=2), 4, 128, 128, 2)
    memory = training_memory(work)
    weights = 4 * cost.parameters(work.config)
    assert memory.peak > 3 * weights + memory.saved  # moments, gradients come as what is kept goes
    assert memory.peak < 1.2 * (4 * weights + memory.saved)


def test_checkpointing_keeps_a_fraction_of_the_papers_activations():
    full = Workload(ModelConfig(), 8, 256, 256, 16, "bf16", fused_norm=True)
    kept = Workload(ModelConfig(), 8, 256, 256, 16, "bf16", checkpointing=True, fused_norm=True)
    assert saved_bytes(kept) < 0.1 * saved_bytes(full)
