"""The scorecard: no verdict without its interval, claims that name what exists."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablations.study import studies
from ilrm.presets import run_config
from reports.claims import (
    CONFIRMED,
    CONTRADICTED,
    COUNTS,
    NOT_MEASURED,
    NOT_RESOLVED,
    Claim,
    claims,
    counted_claims,
    judge,
    judge_claim,
    scorecard,
)
from reports.effects import Effect
from tests.reports.test_effects import measurements

CLAIM = Claim("a is better than b", "Table 7", "components", "base", "w/o token uplifting")
MARGIN = Claim("b loses less than 0.5", "", "components", "base", "b", loses_less_than=0.5)


def effect(low, high, seeds=3):
    return Effect((low + high) / 2, low, high, np.zeros((seeds, 8)), ())


@pytest.mark.parametrize(
    ("claim", "found", "verdict"),
    [
        (CLAIM, effect(0.1, 0.3), CONFIRMED),
        (CLAIM, effect(-0.3, -0.1), CONTRADICTED),
        (CLAIM, effect(-0.1, 0.1), NOT_RESOLVED),
        (CLAIM, effect(0.1, 0.3, seeds=2), NOT_RESOLVED),
        (CLAIM, None, NOT_MEASURED),
        (MARGIN, effect(0.1, 0.3), CONFIRMED),
        (MARGIN, effect(-0.3, -0.1), CONFIRMED),
        (MARGIN, effect(0.6, 0.9), CONTRADICTED),
        (MARGIN, effect(0.4, 0.6), NOT_RESOLVED),
    ],
)
def test_verdicts_follow_from_the_interval(claim, found, verdict):
    assert claim.verdict(found) == verdict


def test_claims_name_studies_and_variants():
    known = studies()
    for claim in claims():
        names = [variant.name for variant in known[claim.study].variants]
        assert claim.better in names and claim.worse in names and claim.metric in ("psnr", "lpips")


def test_effects_are_signed_so_that_positive_means_that_the_claim_holds():
    shifts = {"w/o token uplifting": -0.3, "w/o resolution decoupling": +0.2}
    judged = {entry.claim.text: entry for entry in judge(measurements(shifts))}
    uplifting = judged["Token uplifting is better than none"]
    assert uplifting.paper == pytest.approx(0.34) and uplifting.verdict == CONFIRMED
    assert uplifting.effect is not None and uplifting.effect.mean == pytest.approx(0.3, abs=0.02)
    decoupling = next(e for e in judged.values() if "resolution decoupling" in e.claim.text)
    assert decoupling.paper == pytest.approx(0.77) and decoupling.verdict == CONTRADICTED
    lpips = next(e for e in judged.values() if e.claim.metric == "lpips")
    assert lpips.paper == pytest.approx(0.018)
    quarter = next(e for e in judged.values() if e.claim.text.startswith("Quarter"))
    assert quarter.paper == pytest.approx(0.31) and quarter.verdict == NOT_MEASURED


def test_the_scorecard_says_what_an_open_claim_would_take():
    table = scorecard(judge(measurements({"w/o token uplifting": -0.0003})), "tiny")
    row = table[table.claim == "Token uplifting is better than none"].iloc[0]
    assert row.verdict == NOT_RESOLVED and "an effect of this size would need" in row.note
    assert row["paper's effect"] == "+0.34 dB" and row["seeds x scenes"] == "3 x 64"
    one = scorecard(judge(measurements({}, seeds=1)), "tiny")
    assert (
        "1 of 3 seeds measured"
        in one[one.claim == "Token uplifting is better than none"].iloc[0].note
    )


def test_claims_about_other_inputs_say_what_these_bring_methods_that_learn_nothing():
    study = studies()["views"]
    found = measurements({"(8,H,F)": 1.5}, study=study)
    rows = [
        {"data": run_config("tiny", context_views=views).evaluation_data.held_out_hash,
         "method": method, "scene": "s0", "psnr": psnr + shift}
        for views, psnr in ((4, 19.0), (8, 22.25))
        for method, shift in (("plane_warp", 0.0), ("plane_sweep", views / 4))
    ]  # fmt: skip
    found = replace(found, baselines=pd.DataFrame(rows))
    (claim,) = (c for c in claims() if c.text == "8 input views are better than 4")
    judged = judge_claim(claim, study, found)
    assert "with the same inputs, plane warp +3.25 dB, plane sweep +4.25 dB" in judged.reason
    (other,) = (c for c in claims() if c.worse == "w/o token uplifting")
    assert judge_claim(other, studies()["components"], measurements({})).rivals == {}


def test_costs_are_counted_not_read():
    counted = {claim.count: claim for claim in counted_claims()}
    assert set(counted) == set(COUNTS)
    assert counted["quarter_share"].value == pytest.approx(0.805 / 3.825, rel=1e-3)
    assert counted["million_parameters"].value == 185.59104
    assert all(claim.verdict == CONFIRMED for claim in counted.values())
    assert replace(counted["design_share"], paper=0.1).verdict == CONTRADICTED
