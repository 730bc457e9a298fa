"""Sweep figures: the Pareto front that is drawn is the one that nothing beats."""

import numpy as np
import pandas as pd
import pytest

from ablations.sweep import find_sweep
from reports.figures.sweep_figures import sweep_figure, sweep_figures


@pytest.fixture
def pareto():
    rng = np.random.default_rng(0)
    sweep = find_sweep("pareto")
    rows = []
    for trial in range(12):
        params = {
            name: rng.choice(space["choices"]) if "choices" in space else trial % 6 + 1
            for name, space in sweep.space.items()
        }
        scores = {"psnr": rng.normal(20), "gmacs": rng.uniform(0.1, 1)}
        rows.append({"trial": trial, "state": "complete", **scores, **params, "run": f"r{trial}"})
    rows.append({**rows[0], "trial": 12, "state": "pruned", "psnr": None, "gmacs": None})
    return sweep, pd.DataFrame(rows)


def test_front_holds_exactly_the_trials_that_none_beats(pareto):
    sweep, table = pareto
    done = table[table.state == "complete"]
    best = [
        (row.gmacs, row.psnr)
        for row in done.itertuples()
        if not ((done.psnr > row.psnr) & (done.gmacs < row.gmacs)).any()
    ]
    axes = sweep_figure(sweep, table).axes[0]
    (line,) = [line for line in axes.lines if line.get_label() == "Pareto front"]
    drawn = np.stack(line.get_data(), 1)
    np.testing.assert_allclose(drawn, sorted(best))
    assert "13 trials, 1 pruned" in axes.get_title()


def test_every_recorded_sweep_has_a_figure(pareto, tmp_path):
    sweep, table = pareto
    assert sweep_figures(tmp_path) == {}
    table.to_csv(tmp_path / "pareto.csv", index=False)
    assert list(sweep_figures(tmp_path)) == ["sweep_pareto"]
    shares = sweep_figure(sweep, table).axes[1].containers
    assert len(shares) == 2  # of quality and of cost
    assert sum(bar.get_width() for bar in shares[1]) == pytest.approx(1)


def test_records_of_another_definition_are_not_shown(pareto, tmp_path):
    """A sweep's file was edited after its trials had been recorded."""
    sweep, table = pareto
    folder = tmp_path / "tiny"
    folder.mkdir()
    for other in (
        table.drop(columns="uplift"),
        table.assign(width=50),
        table.assign(layers=table.layers + 6),
        table.assign(search="0" * 8),
        table.drop(columns="gmacs"),
    ):
        other.to_csv(folder / "pareto.csv", index=False)
        assert sweep_figures(folder) == {}
    table.assign(search=sweep.hash("tiny")).to_csv(folder / "pareto.csv", index=False)
    assert list(sweep_figures(folder)) == ["sweep_pareto"]
