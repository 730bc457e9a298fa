"""Recipes: stages that start from each other's weights, at any scale."""

import pytest
import torch

from ilrm import train
from ilrm.errors import ConfigError
from ilrm.recipes import RECIPES, stages
from ilrm.runs.store import Run
from ilrm.runs.training_runs import perform_run
from ilrm.weights.state import read_weights

TWO = (
    {"scale": "smoke", "steps": 2},
    {"scale": "smoke", "steps": 3, "procedural_path": "mixed"},
)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_stage_is_a_run_that_starts_from_the_one_before(name):
    runs = stages(name, start="given")
    assert [run.train.start for run in runs] == ["given", *(run.name for run in runs[:-1])]
    assert len({run.name for run in runs}) == len(runs)
    own = RECIPES[name][0].get("scale", "paper")
    assert {run.scale for run in runs} == {own}


def test_fields_and_scale_replace_those_of_all_stages():
    runs = stages("dl3dv", scale="smoke", steps=3, image_height=32, image_width=32)
    assert {(run.scale, run.train.steps, run.data.image_width) for run in runs} == {
        ("smoke", 3, 32)
    }
    with pytest.raises(ConfigError, match="has a scale of its own"):
        stages("ilrm-small", scale="smoke")
    with pytest.raises(ConfigError, match="unknown recipe 're10k-3'"):
        stages("re10k-3")


def test_the_command_line_performs_the_stages(tmp_path, monkeypatch, capsys):
    """The second run's weights are hardly moved ones of the first."""
    monkeypatch.setitem(RECIPES, "two", TWO)
    monkeypatch.setattr("ilrm.training.loop.RUNS", tmp_path)
    monkeypatch.setattr(
        "ilrm.runs.training_runs.perform_run", lambda config: perform_run(config, tmp_path)
    )
    assert train.main(["--recipe", "two", "lr=1e-9", "matrix_lr=1e-9"]) == 0
    first, second = (Run(tmp_path / run.name) for run in stages("two", lr="1e-9", matrix_lr="1e-9"))
    assert f"{first.folder}" in capsys.readouterr().out
    assert (first.config.train.steps, second.config.train.steps) == (2, 3)
    a, b = (read_weights(run.folder).model.state_dict() for run in (first, second))
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, atol=1e-6, rtol=0)
