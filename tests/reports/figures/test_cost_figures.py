"""Cost figures: what is drawn is what is counted or was measured."""

import json

import numpy as np
import pandas as pd
import pytest

from ablations.study import studies
from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.paper_configs import CASES
from reports.figures.cost_figures import (
    cost_against_resolution,
    cost_against_views,
    measured_against_views,
    quality_against_time,
)
from reports.tables.cost_tables import Benchmark
from tests.reports.test_effects import measurements


@pytest.fixture
def benchmark():
    rows = []
    for case in (CASES[1].at("tiny"), CASES[3].at("tiny")):
        for own in (case, case.baseline()):
            rows.append(
                {
                    "case": own.name,
                    "design": "iLRM" if own is case else "full attention",
                    "views": own.views,
                    "height": own.height,
                    "width": own.width,
                    "fields": json.dumps(own.fields, sort_keys=True),
                    "encoder_s": 0.001 * own.views,
                    "memory": 1e6 * own.views,
                    "left_out": "",
                }
            )
    return Benchmark(pd.DataFrame(rows), {"device": "Some CPU"})


def test_totals_are_the_closed_forms():
    (axes,) = cost_against_views().axes
    (line,) = [line for line in axes.lines if line.get_label() == "iLRM (V,H,F), total"]
    expected = [
        sum(cost.analytic_macs(ModelConfig(), int(v), 544, 960).values()) / 1e9
        for v in line.get_xdata()
    ]
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert len(cost_against_resolution().axes[0].lines) == 2


def test_measurements_are_drawn_a_line_a_design_and_size(benchmark):
    left, right = measured_against_views(benchmark).axes
    ours = {line.get_label(): line for line in left.lines}
    assert set(ours) == {"iLRM, 32x32", "full attention, 32x32"}
    np.testing.assert_allclose(ours["iLRM, 32x32"].get_ydata(), [4, 8])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [4, 8])


def test_memory_that_is_known_of_one_design_alone_is_not_drawn(benchmark):
    rows = benchmark.rows
    known = rows.assign(memory=rows.memory.where(rows.design == "iLRM"))
    (axes,) = measured_against_views(Benchmark(known, benchmark.about)).axes
    assert axes.get_ylabel() == "encoder (ms)"


def test_quality_is_that_of_the_same_model_and_inputs(benchmark):
    measured = measurements({}, study=studies()["equal_gaussians"])
    figure = quality_against_time(benchmark, measured)
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels[:2] == ["1  (4,H,F) 32x32", "2  (4,full attention) 32x32"]
    left_out = Benchmark(benchmark.rows.assign(left_out="too long"), benchmark.about)
    assert quality_against_time(left_out, measured) is None
