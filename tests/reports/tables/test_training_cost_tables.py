"""What the recipes take follows from the cost model and from stated assumptions."""

import pytest

from ilrm import cost
from ilrm.recipes import stages
from reports.tables import training_cost_tables as tables


def test_operations_of_a_step_are_those_of_its_scenes():
    (run,) = stages("re10k-4")
    macs = sum(cost.analytic_macs(run.model, 4, 256, 256).values())
    assert tables.flops_per_step(run) == pytest.approx(2 * 4 * 128 * macs)
    first, _ = stages("dl3dv")  # 6 to 11 views
    fewest, most = (
        2 * 4 * 96 * sum(cost.analytic_macs(first.model, views, 256, 448).values())
        for views in (6, 11)
    )
    assert fewest < tables.flops_per_step(first) < most


def test_parts_make_a_batch_fit():
    run = stages("dl3dv-wide")[2]
    assert tables.memory(run, 32) > tables.MEMORY > tables.memory(run, 2)
    assert tables._on(run, 1, 480.0).startswith("20.0 days, ")
    assert tables._on(run, 1, 480.0).endswith(", 4 parts")
    assert tables.memory(run, 32 // 4) < tables.MEMORY <= tables.memory(run, 32 // 2)
    assert tables._on(run, 64, 480.0) == "-"


def test_every_stage_of_the_paper_has_a_row():
    table = tables.training_costs()
    assert len(table) == sum(len(stages(name)) for name in tables.RECIPES_OF_THE_PAPER)
    assert not table.isin(["too large"]).any(axis=None)
