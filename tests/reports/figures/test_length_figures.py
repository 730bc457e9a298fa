"""Effects against the length of training: every recorded length, with its seeds, beside the paper's."""

from dataclasses import replace

import pandas as pd

from ablations.study import LENGTHS, studies
from reports.figures.length_figures import effects_against_length, trend_table, trends
from tests.reports.test_effects import measurements

STUDY = studies()["components"]
SHORT, LONG = LENGTHS["tiny"]


def at_lengths():
    """The studies' length with three seeds, where uplifting brings 0.1 dB, and a longer one with 0.3 dB."""
    own = measurements({"w/o token uplifting": -0.1})
    longer = measurements({"w/o token uplifting": -0.3}, seeds=1, study=STUDY.trained_for(LONG))
    runs, scenes = (
        pd.concat([getattr(own, name), getattr(longer, name)]) for name in ("runs", "scenes")
    )
    return replace(own, runs=runs, scenes=scenes)


def test_lengths_are_other_runs_with_the_same_fields():
    for length in LENGTHS["tiny"]:
        for one, other in zip(
            STUDY.cells("tiny", 1), STUDY.trained_for(length).cells("tiny", 1), strict=True
        ):
            assert one.run_name != other.run_name
            assert other.config.train.steps == length
            assert replace(other.config, train=one.config.train) == one.config


def test_an_effect_is_shown_at_every_recorded_length():
    found = {trend.claim.worse: trend for trend in trends(at_lengths())}
    assert "12 layers, quarter" not in found  # not recorded
    uplifting = found["w/o token uplifting"]
    steps = STUDY.cells("tiny", 1)[0].config.train.steps
    assert list(uplifting.effects) == [steps, LONG]
    assert [round(effect.mean, 1) for effect in uplifting.effects.values()] == [0.1, 0.3]
    table = trend_table(list(found.values())).set_index("effect")
    row = table.loc["base - w/o token uplifting (dB)"]
    assert row[f"{LONG:,} steps"].startswith("+0.3") and row[f"{LONG:,} steps"].endswith("1 seed")
    assert row[f"{steps:,} steps"].endswith("3 seeds") and row["paper"] == "+0.34"


def test_a_figure_needs_two_lengths():
    shown = trends(at_lengths())
    figure = effects_against_length(shown, "tiny")
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert len(panels) == len(shown)
    assert effects_against_length(trends(measurements({})), "tiny") is None
