"""Means over target views, then over scenes, with 95% bootstrap intervals over scenes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ilrm.vocabulary import DEPTH, METHODS, QUALITY, interval


@dataclass(frozen=True)
class Estimate:
    """A mean over scenes with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def text(self, digits: int, signed: bool = False) -> str:
        """Format mean and interval with this many decimals; with `signed`, also print plus signs."""
        return interval(self.mean, self.low, self.high, digits, signed)


def estimate(values: np.ndarray) -> Estimate:
    """Mean of one value per scene with a 95% percentile bootstrap interval (10,000 resamples, seed 0)."""
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) == 0:
        mean = float(values.mean())
        return Estimate(mean, mean, mean)
    result = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    )
    low, high = result.confidence_interval
    return Estimate(float(values.mean()), float(low), float(high))


def scene_means(per_view: pd.DataFrame, method: str, metric: str) -> pd.Series:
    """Mean over each scene's target views, indexed by scene: the first step of the published averaging."""
    return per_view[per_view.method == method].groupby("scene", sort=True)[metric].mean()


def summarize(per_view: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """{method: {metric: {mean, low, high}}}, with means over target views, then over scenes."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for method in (m for m in METHODS if m in set(per_view.method)):
        summary[method] = {}
        for metric in (*QUALITY, *DEPTH):
            if metric not in per_view:
                continue
            values = scene_means(per_view, method, metric).dropna()
            if len(values):
                summary[method][metric] = vars(estimate(values.to_numpy()))
    return summary
