"""Means with intervals: what few scenes can say, in numbers, in text and in JSON."""

import json
import math

import numpy as np
import pandas as pd
from scipy import stats

from ilrm.evaluation.summary import FEW, Estimate, estimate, summarize


def test_one_scene_has_no_interval():
    found = estimate(np.array([19.0]))
    assert found.mean == 19.0 and math.isnan(found.low) and math.isnan(found.high)
    assert found.text(2) == "19.00 [no interval]" and str(found) == "19 [no interval]"
    assert Estimate(**json.loads(json.dumps(found.to_json(), allow_nan=False))).text(
        2
    ) == found.text(2)


def test_the_fewer_scenes_the_wider_the_interval():
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, FEW - 1):
        values = rng.normal(20, 1, count)
        found = estimate(values)
        assert found.low < found.mean < found.high
        assert found.high - found.low > 2 * 1.96 * values.std(ddof=1) / np.sqrt(count)
    same = estimate(np.full(64, 3.0))
    assert (same.low, same.high) == (3.0, 3.0)


def test_the_interval_of_many_scenes_is_the_bootstraps():
    """As it was in all recorded results."""
    values = np.random.default_rng(1).normal(20, 1, 64)
    found = estimate(values)
    ends = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == (ends.low, ends.high)


def test_a_summary_of_one_scene_is_valid_json():
    rows = pd.DataFrame({"method": "model", "scene": "a", "psnr": [18.0, 20.0]})
    summary = summarize(rows)
    assert json.dumps(summary, allow_nan=False)
    assert summary["model"]["psnr"] == {"mean": 19.0, "low": None, "high": None}
