"""Means over target views, then over scenes, with 95% bootstrap intervals over scenes.

The bootstrap interval of a few scenes is far too narrow, as it resamples only their values. For fewer than
ten scenes, the interval is therefore at least as wide as Student's; for one scene there is none.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ilrm.vocabulary import DEPTH, METHODS, QUALITY, interval

FEW = 10  # scenes; intervals of fewer are widened to Student's


@dataclass(frozen=True)
class Estimate:
    """A mean over scenes with its 95% interval; low and high are NaN where there is none (None in JSON)."""

    mean: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, math.nan)

    def to_json(self) -> dict[str, Any]:
        """{mean, low, high}, with None for NaN."""
        return {name: None if math.isnan(value) else value for name, value in vars(self).items()}

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.mean:.3g} [no interval]"
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def text(self, digits: int, signed: bool = False) -> str:
        """Format mean and interval with this many decimals; with `signed`, also print plus signs."""
        return interval(self.mean, self.low, self.high, digits, signed)


def student(values: np.ndarray) -> tuple[float, float]:
    """95% Student's t interval of the mean of independent values; NaN for one value, or if all are equal."""
    from scipy import stats

    count = len(values)
    if count < 2 or np.ptp(values) == 0:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count)
    return float(values.mean() - half), float(values.mean() + half)


def estimate(values: np.ndarray) -> Estimate:
    """Mean of one value per scene with a 95% percentile bootstrap interval (10,000 resamples, seed 0).

    For fewer than `FEW` scenes it is widened to Student's.
    """
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    if len(values) < FEW:
        widest = student(values)
        if math.isnan(widest[0]):
            return Estimate(float(values.mean()), *widest)
    elif np.ptp(values) == 0:
        mean = float(values.mean())
        return Estimate(mean, mean, mean)
    else:
        widest = math.inf, -math.inf
    result = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    )
    low, high = result.confidence_interval
    return Estimate(float(values.mean()), min(float(low), widest[0]), max(float(high), widest[1]))


def scene_means(per_view: pd.DataFrame, method: str, metric: str) -> pd.Series:
    """Mean over each scene's target views, indexed by scene: the first step of the published averaging."""
    return per_view[per_view.method == method].groupby("scene", sort=True)[metric].mean()


def summarize(per_view: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """{method: {metric: {mean, low, high}}}, with means over target views, then over scenes."""
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for method in (m for m in METHODS if m in set(per_view.method)):
        summary[method] = {}
        for metric in (*QUALITY, *DEPTH):
            if metric not in per_view:
                continue
            values = scene_means(per_view, method, metric).dropna()
            if len(values):
                summary[method][metric] = estimate(values.to_numpy()).to_json()
    return summary
