"""Closed forms against fvcore's and torch's counts, and the sizes that the paper reports."""

import pytest

from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.cost import counting
from tests.test_model import VARIANTS


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_closed_form_equals_both_counts(fields):
    config = ModelConfig(**{"layers": 2, "width": 48, "heads": 3, "patch": 4, **fields})
    size = (4, 32, 64)
    closed = cost.analytic_macs(config, *size)
    assert closed == counting.counted_macs(config, *size)
    assert closed == counting.torch_macs(config, *size)


def test_an_operator_that_nobody_counts_is_an_error(monkeypatch):
    monkeypatch.setattr(counting, "UNCOUNTED", counting.UNCOUNTED - {"aten::gelu"})
    with pytest.raises(ValueError, match="that are not counted: aten::gelu"):
        counting.counted_macs(ModelConfig(layers=1, width=64, heads=1), 2, 32, 32)


def test_self_attention_takes_over_where_its_products_are_most_of_all():
    config = ModelConfig()
    views = cost.self_attention_takes_over(config, 256, 256)

    def share(v):
        products = 12 * cost.self_block_macs(config, v, 256, 256)["attention"]
        return products / sum(cost.analytic_macs(config, v, 256, 256).values())

    assert share(views - 1) < 0.5 <= share(views)
    with pytest.raises(ValueError, match="without self-attention"):
        cost.self_attention_takes_over(ModelConfig(self_attention=False), 256, 256)


def test_gaussian_counts_of_table_1():
    assert cost.gaussians(ModelConfig(viewpoint_scale="F"), 2, 256, 256) == 131_072
    assert cost.gaussians(ModelConfig(), 4, 256, 256) == 65_536
    assert cost.gaussians(ModelConfig(), 32, 544, 960) == 32 * 272 * 480


def test_parameters_need_no_memory_for_weights():
    assert cost.parameters(ModelConfig()) == 185_591_040


def test_the_papers_own_counts():
    assert [round(value, 3) for value in cost.table8_gflops()] == [3.825, 1.711, 0.805]
    assert [round(value, 2) for value in cost.figure2_ratio()] == [1.0, 1.0, 0.25, 0.08]
