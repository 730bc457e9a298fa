"""The model card tells of exactly the weights that come with the package."""

import json
from dataclasses import replace

import pytest

from ilrm.errors import RunError
from ilrm.recipes import stages
from ilrm.weights.state import read_weights
from reports import model_card
from reports.figures.showcase import SMALL


def test_the_recipe_s_last_stage_trained_the_weights():
    """What it starts from goes by another name in a recipe."""
    last, config = stages(SMALL)[-1], read_weights(SMALL).config
    assert replace(config, train=replace(config.train, start=last.train.start)) == last


def test_it_has_a_row_a_method_of_every_evaluation_of_these_weights():
    weights = read_weights(SMALL)
    results = model_card.own_evaluations(weights)
    assert {r.about["protocol"] for r in results} == {"re10k", "captures", "captures-near"}
    card = model_card.model_card(SMALL)
    rows = [line for line in card.splitlines() if line.startswith("| ") and " views " not in line]
    for result in results:
        value = result.metrics["summary"]["model"]["psnr"]
        text = f"| {SMALL} | {value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}] |"
        assert sum(text in row for row in rows) == 1
    assert len([row for row in rows if "nearest input view" in row]) == len(results)


def test_other_weights_evaluations_are_not_theirs(smoke_run):
    assert model_card.own_evaluations(read_weights(smoke_run.folder)) == []


def test_a_stage_without_a_record_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(model_card, "RUNS", tmp_path)
    (tmp_path / "other").mkdir()
    other = replace(stages(SMALL)[0], scale="smoke")
    (tmp_path / "other" / "config.json").write_text(json.dumps(other.to_dict()))
    with pytest.raises(RunError, match="has no record of small-6x256"):
        model_card.model_card(SMALL)


def test_depth_errors_are_those_of_the_scenes_that_are_named():
    """Of the records, by their data; two kinds of scenes have true depth."""
    card = model_card.model_card(SMALL)
    for kind, data in (
        ("held-out walks and tours", "rooms-mixed"),
        ("held-out varied scenes", "rooms-varied"),
    ):
        (result,) = (
            r for r in model_card.own_evaluations(read_weights(SMALL))
            if r.about["data"].startswith(data) and r.about["views"] == 4
        )  # fmt: skip
        value = result.metrics["summary"]["model"]["depth_abs_rel"]["mean"]
        (line,) = (line for line in card.splitlines() if line.startswith(f"- {kind} with 4 input"))
        assert f"mean relative error {value:.3f} [" in line
