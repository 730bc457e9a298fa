"""The regime check: each condition met and missed, unmeasured ones said, verdicts that carry it."""

import pandas as pd
import pytest

from ablations.study import studies
from ilrm.presets import run_config
from ilrm.runs.evaluation_runs import recorded_evaluations
from reports.claims import CONFIRMED, Claim, Judged, scorecard
from reports.effects import Measurements
from reports.regime import failed, regime, regime_of_evaluations, regime_of_scales, regime_table

STUDY = studies()["architecture"]


def measurements(model=21.0, gain=2.0, depth=0.2, plane=19.0, ceiling=25.0, baselines=True):
    base, without = STUDY.variants[:2]
    assert without.name == "w/o self-attention"
    runs, rows = {}, []
    for variant, psnr, corr in ((base, model, 0.7), (without, model - gain, 0.7 - depth)):
        config = run_config(**STUDY.parameters(variant, "tiny", 0))
        runs[config.name] = {"macs": 1.0}
        rows += [
            {"run": config.name, "scene": f"s{i}", "psnr": psnr, "depth_spearman": corr}
            for i in range(12)
        ]
    data = config.evaluation_data.held_out_hash
    table = pd.DataFrame(
        [
            {"data": data, "method": method, "scene": f"s{i}", "psnr": value}
            for method, value in (("plane_warp", plane), ("half_resolution", ceiling))
            for i in range(12)
        ]
    )
    frame = pd.DataFrame.from_dict(runs, orient="index")
    return Measurements("tiny", frame, pd.DataFrame(rows), table if baselines else pd.DataFrame())


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, set()),
        ({"ceiling": 23.5}, {"headroom above a plane warp"}),
        ({"gain": 1.0}, {"self-attention finds geometry"}),
        ({"depth": 0.05}, {"self-attention finds geometry"}),
        ({"model": 18.9}, {"the base model reconstructs"}),
    ],
)
def test_each_condition_is_met_or_missed(change, missed):
    conditions = regime(measurements(**change))
    capacity = conditions[1]
    model = run_config("tiny").model
    assert capacity.met == (model.width >= 3 * (model.patch * model.viewpoint_factor) ** 2)
    assert set(failed(conditions)) - {capacity.name} == missed
    assert (regime_table(conditions).met == "no").sum() == len(failed(conditions))


def test_what_is_not_recorded_is_not_measured():
    conditions = regime(measurements(baselines=False))
    assert [c.met for c in conditions if c.name != "capacity of a token"] == [None, True, None]


def test_a_verdict_of_a_scale_that_fails_says_so():
    found = measurements()
    effect = found.mean(STUDY, STUDY.reference, "psnr")
    claim = Claim("a claim", "", "architecture", "base", "w/o self-attention")
    judged = Judged(claim, None, effect)
    object.__setattr__(effect, "differences", effect.differences.repeat(3, 0))
    assert judged.verdict == CONFIRMED
    assert (
        scorecard([judged], "tiny", ["headroom above a plane warp"])
        .note[0]
        .startswith("at a scale that")
    )
    assert scorecard([judged], "tiny").note[0] == ""


def test_evaluations_are_checked_as_far_as_they_tell():
    table = regime_of_evaluations()
    assert len(table) == len(list(recorded_evaluations()))
    row = table[(table.data == "re10k") & (table.views == 4)].iloc[0]
    assert row["width, at least the values"] == "256, 192 values"
    (result,) = (
        r for r in recorded_evaluations() if (r.about["data"], r.about["views"]) == ("re10k", 4)
    )
    psnr = {name: values["psnr"]["mean"] for name, values in result.metrics["summary"].items()}
    assert row["headroom, at least 5 dB"] == f"{psnr['half_resolution'] - psnr['plane_warp']:.2f}"
    assert row["model above the plane warp (dB)"] == f"{psnr['model'] - psnr['plane_warp']:+.2f}"


def test_an_interval_on_both_sides_is_not_resolved():
    found = measurements()
    psnr = found.scenes.psnr + pd.Series([5.0, -5.0, 5.0, -5.0] * 2) - 2.0
    mixed = Measurements("tiny", found.runs, found.scenes.assign(psnr=psnr), found.baselines)
    condition = regime(mixed)[-1]
    assert condition.met is None and condition.word == "not resolved"
    assert failed([condition]) == []


def test_every_scale_that_is_interpreted_is_checked():
    table = regime_of_scales().set_index(["scale", "condition"])
    assert set(table.index.get_level_values("scale")) == {"tiny", "small", "paper"}
    room = table.loc[("small", "headroom above a plane warp")]
    assert room.met == "yes" and room.measured.startswith("26.")
    assert table.met[("paper", "headroom above a plane warp")] == "not measured"
    assert table.measured[("paper", "capacity of a token")] == "width 768, 768 values"
