"""Evaluation: baselines, averaging order, intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ilrm.evaluation.scoring import depth_metrics, depth_spearman
from ilrm.evaluation.summary import estimate, scene_means, summarize


def test_depth_correlation_is_by_rank():
    true = np.random.default_rng(0).random((8, 8))
    assert depth_spearman(np.exp(3 * true), true) == pytest.approx(1.0)
    assert depth_spearman(-true, true) == pytest.approx(-1.0)
    assert depth_spearman(np.ones((8, 8)), true) == 0.0


def test_interval_covers_the_mean_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(100):
        result = estimate(rng.normal(3.0, 1.0, 40))
        covered += result.low <= 3.0 <= result.high
    assert 85 <= covered <= 100
    values = rng.normal(0, 1, 50)
    t_low, t_high = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert estimate(values).low == pytest.approx(t_low, abs=0.08)
    assert estimate(values).high == pytest.approx(t_high, abs=0.08)


def test_means_are_over_targets_then_over_scenes():
    """Scene a has two targets and scene b one: both count the same."""
    rows = [("a", 0, 10.0), ("a", 1, 20.0), ("b", 0, 30.0)]
    per_view = pd.DataFrame(
        [
            {"scene": s, "frame": f, "method": m, "psnr": p, "ssim": 0.5}
            for s, f, p in rows
            for m in ("model", "nearest_view", "mean_colour")
        ]
    )
    assert scene_means(per_view, "model", "psnr").tolist() == [15.0, 30.0]
    summary = summarize(per_view)
    assert summary["model"]["psnr"]["mean"] == pytest.approx(22.5)
    assert "lpips" not in summary["model"]


def test_depth_accuracy_of_a_known_error():
    true = np.array([[1.0, 2.0], [4.0, 8.0]])
    assert depth_metrics(true, true) == pytest.approx(
        {"depth_spearman": 1.0, "depth_abs_rel": 0.0, "depth_rmse": 0.0}
    )
    off = depth_metrics(true * [[1.1, 1.1], [0.7, 1.1]], true)
    assert off["depth_abs_rel"] == pytest.approx((3 * 0.1 + 0.3) / 4)
    assert off["depth_rmse"] == pytest.approx(np.sqrt((0.01 + 0.04 + 1.44 + 0.64) / 4))


def test_depth_accuracy_is_measured_where_true_depth_is_known(smoke_run):
    rows = smoke_run.per_view
    assert rows[rows.method == "model"].depth_abs_rel.between(0, 20).all()
    assert rows[rows.method != "model"].depth_abs_rel.isna().all()
    assert {"depth_abs_rel", "depth_rmse"} < smoke_run.metrics["summary"]["model"].keys()
