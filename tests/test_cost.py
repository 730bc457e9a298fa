"""Closed forms against fvcore's count, and the sizes that the paper reports."""

import pytest

from ilrm import cost
from ilrm.config import ModelConfig
from tests.test_model import VARIANTS


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_closed_form_equals_the_count(fields):
    config = ModelConfig(**{"layers": 2, "width": 48, "heads": 3, "patch": 4, **fields})
    size = (4, 32, 64)
    assert cost.analytic_macs(config, *size) == cost.counted_macs(config, *size)


def test_gaussian_counts_of_table_1():
    assert cost.gaussians(ModelConfig(viewpoint_scale="F"), 2, 256, 256) == 131_072
    assert cost.gaussians(ModelConfig(), 4, 256, 256) == 65_536
    assert cost.gaussians(ModelConfig(), 32, 544, 960) == 32 * 272 * 480


def test_parameters_need_no_memory_for_weights():
    assert cost.parameters(ModelConfig()) == 185_591_040


def test_the_papers_own_counts():
    assert [round(value, 3) for value in cost.table8_gflops()] == [3.825, 1.711, 0.805]
    assert [round(value, 2) for value in cost.figure2_ratio()] == [1.0, 1.0, 0.25, 0.08]
