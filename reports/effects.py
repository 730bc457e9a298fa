"""Effects: differences between variants, paired over scenes and seeds, with confidence intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ablations.record import collect, recorded
from ablations.study import MOST_SEEDS, Study, Variant
from ilrm.config import RunConfig
from ilrm.errors import ConfigError
from ilrm.evaluation.summary import FEW, student
from ilrm.presets import run_config
from ilrm.vocabulary import interval

RESAMPLES = 10_000
Z = 1.959964  # normal quantile of a two-sided 95% interval
Z_POWER = 0.841621  # normal quantile of 80% power


@dataclass(frozen=True)
class Effect:
    """Mean difference over seeds and scenes, with its 95% interval and the underlying data."""

    mean: float
    low: float
    high: float
    differences: NDArray[np.float64]  # [seeds, scenes]
    runs: tuple[str, ...]

    @property
    def seeds(self) -> int:
        return self.differences.shape[0]

    def text(self, digits: int) -> str:
        """Format the signed mean and its interval with this many decimals."""
        return interval(self.mean, self.low, self.high, digits, signed=True)

    @property
    def scenes(self) -> int:
        return self.differences.shape[1]

    def seeds_to_resolve(self, threshold: float = 0.0) -> float:
        """Number of seeds that distinguish an effect of the measured size from the threshold with 80% power.

        Estimated from the two-way variance components of the differences; inf if the variance between scenes
        alone is too large, or if a single seed gives no estimate of the variance between seeds.
        """
        if self.seeds < 2:
            return math.inf
        seed, scene, rest = variance_components(self.differences)
        room = ((self.mean - threshold) / (Z + Z_POWER)) ** 2 - scene / self.scenes
        needed = (seed + rest / self.scenes) / room if room > 0 else math.inf
        return max(2.0, math.ceil(needed)) if math.isfinite(needed) else math.inf


def mean_squares(x: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean squares (rows, columns, residual) of a crossed design [S, N], S and N at least 2."""
    s, n = x.shape
    rows, columns = x.mean(1), x.mean(0)
    residual = x - rows[:, None] - columns[None] + x.mean()
    rest = (residual**2).sum() / ((s - 1) * (n - 1))
    return float(n * rows.var(ddof=1)), float(s * columns.var(ddof=1)), float(rest)


def variance_components(x: NDArray[np.float64]) -> tuple[float, float, float]:
    """Variances (between rows, between columns, residual) of a crossed design [S, N] (two-way ANOVA)."""
    s, n = x.shape
    rows, columns, rest = mean_squares(x)
    return max(0.0, (rows - rest) / n), max(0.0, (columns - rest) / s), rest


def half_width(x: NDArray[np.float64]) -> float:
    """Half width of the 95% t interval of the mean of x [seeds, scenes], with seeds and scenes as random
    effects (Satterthwaite's degrees of freedom).
    """
    s, n = x.shape
    rows, columns, rest = (square / (s * n) for square in mean_squares(x))
    variance = max(rows, rest) + max(columns, rest) - rest
    if variance == 0:
        return 0.0
    shares = rows**2 / (s - 1) + columns**2 / (n - 1) + rest**2 / ((s - 1) * (n - 1))
    return float(math.sqrt(variance) * stats.t.ppf(0.975, max(s - 1, variance**2 / shares)))


def crossed_interval(x: NDArray[np.float64]) -> tuple[float, float]:
    """95% interval of the mean of x [seeds, scenes], resampling seeds and scenes independently.

    This is the percentile pigeonhole bootstrap of Owen (2007) for crossed random effects, with seed 0. It is
    too narrow for few seeds and therefore widened to `half_width` if that is larger. With one seed, it is the
    interval over scenes, which for fewer than ten scenes is at least as wide as Student's. One seed of one
    scene has no interval (NaN).
    """
    s, n = x.shape
    widest = student(x.ravel()) if min(s, n) == 1 and max(s, n) < FEW else (math.inf, -math.inf)
    if math.isnan(widest[0]):
        return widest
    rng = np.random.default_rng(0)
    rows = rng.multinomial(s, np.full(s, 1 / s), RESAMPLES) / s  # [R, S]
    columns = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n  # [R, N]
    means = ((rows @ x) * columns).sum(1)
    low, high = (float(value) for value in np.quantile(means, [0.025, 0.975]))
    if min(s, n) > 1 and high > low:
        mean, wider = float(x.mean()), max(1.0, 2 * half_width(x) / (high - low))
        low, high = mean + wider * (low - mean), mean + wider * (high - mean)
    return min(low, widest[0]), max(high, widest[1])


@dataclass(frozen=True)
class Measurements:
    """The recorded runs of a scale."""

    scale: str
    runs: pd.DataFrame  # index: run name
    scenes: pd.DataFrame  # run, scene, metrics
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)  # data, method, scene, metrics

    @classmethod
    def recorded(cls, scale: str) -> "Measurements":
        """The runs recorded in the project at a scale."""
        return cls(scale, *recorded(scale))

    @classmethod
    def stored(cls, study: Study, scale: str) -> "Measurements":
        """The complete runs of a study in the run store, with any seeds."""
        runs, scenes, baselines = collect(study.cells(scale, MOST_SEEDS))
        return cls(scale, runs.set_index("run") if len(runs) else runs, scenes, baselines)

    def run_names(self, study: Study, variant: Variant) -> dict[int, str]:
        """{seed: run name} of a variant's recorded runs."""
        names = {}
        for seed in range(MOST_SEEDS):
            try:
                name = run_config(**study.parameters(variant, self.scale, seed)).name
            except ConfigError:
                return {}  # the variant is not valid at this scale
            if name in self.runs.index:
                names[seed] = name
        return names

    def values(self, runs: dict[int, str], metric: str) -> pd.DataFrame:
        """Table of a metric by seed (rows) and scene (columns)."""
        if metric not in self.scenes:
            return pd.DataFrame()
        chosen = self.scenes[self.scenes.run.isin(runs.values())].dropna(subset=metric)
        table = chosen.pivot(index="run", columns="scene", values=metric)
        return table.reindex(list(runs.values())).set_axis(list(runs), axis=0)

    def mean(self, study: Study, variant: Variant, metric: str) -> Effect | None:
        """Mean metric of a variant over seeds and scenes, or None if nothing is recorded."""
        runs = self.run_names(study, variant)
        values = self.values(runs, metric).dropna(axis=1)
        return None if values.empty else effect_of(values.to_numpy(), list(runs.values()))

    def baseline(self, config: RunConfig, method: str, metric: str = "psnr") -> float | None:
        """Mean metric of a baseline over the scenes that a run is evaluated on, or None without a record."""
        if self.baselines.empty:
            return None
        data = config.evaluation_data.held_out_hash
        rows = self.baselines[(self.baselines.data == data) & (self.baselines.method == method)]
        return None if rows.empty else float(rows[metric].mean())

    def above_baseline(
        self, study: Study, variant: Variant, method: str, metric: str = "psnr"
    ) -> Effect | None:
        """Variant minus a baseline on the same scenes, over the variant's seeds, or None without records."""
        runs = self.run_names(study, variant)
        values = self.values(runs, metric)
        if values.empty or self.baselines.empty:
            return None
        config = run_config(**study.parameters(variant, self.scale, 0))
        data = config.evaluation_data.held_out_hash
        rows = self.baselines[(self.baselines.data == data) & (self.baselines.method == method)]
        differences = (values - rows.set_index("scene")[metric]).dropna(axis=1)
        return None if differences.empty else effect_of(differences.to_numpy(), list(runs.values()))

    def effect(
        self, study: Study, variant: Variant, reference: Variant, metric: str
    ) -> Effect | None:
        """Variant minus reference on the seeds and scenes they have in common, or None if there are none."""
        pair = [self.run_names(study, v) for v in (variant, reference)]
        a, b = (self.values(runs, metric) for runs in pair)
        seeds, scenes = a.index.intersection(b.index), a.columns.intersection(b.columns)
        if not len(seeds) or not len(scenes):
            return None
        differences = a.loc[seeds, scenes].to_numpy() - b.loc[seeds, scenes].to_numpy()
        differences = differences[:, np.isfinite(differences).all(0)]
        if not differences.size:
            return None
        return effect_of(differences, [runs[seed] for runs in pair for seed in seeds])


def effect_of(x: NDArray[np.float64], runs: Sequence[str] = ()) -> Effect:
    """The mean of differences [seeds, scenes] with its `crossed_interval`."""
    low, high = crossed_interval(x)
    return Effect(float(x.mean()), low, high, x, tuple(dict.fromkeys(runs)))
