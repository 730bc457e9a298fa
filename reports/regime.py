"""Whether a scale and its data measure reconstruction: four conditions, checked before any claim is judged.

In the paper's setting a token has as many channels as its patch has colour values, and self-attention is
worth 5.9 dB. Where a plane warp is close to the best that the Gaussians can render, effects describe how blur
is learned, not how scenes are reconstructed.
"""

from dataclasses import dataclass

import pandas as pd

from ablations.study import studies
from ilrm.config import ModelConfig, RunConfig
from ilrm.presets import SCALES, run_config
from ilrm.runs.evaluation_runs import recorded_evaluations
from reports.effects import Effect, Measurements

HEADROOM = 5.0  # dB between the half-resolution ceiling and the plane warp
GEOMETRY = 1.5, 0.1  # least gain by self-attention: dB, rank correlation of depth
STUDY, BASE, WITHOUT = "architecture", "base", "w/o self-attention"


@dataclass(frozen=True)
class Condition:
    """One condition: requirement, measurement, and whether it is met (None: unknown)."""

    name: str
    needs: str
    measured: str
    met: bool | None

    @property
    def word(self) -> str:
        """Yes, no, or the reason for neither: not measured, or an interval on both sides of the threshold."""
        if self.met is None:
            return "not measured" if self.measured == "-" else "not resolved"
        return "yes" if self.met else "no"


def regime(measurements: Measurements) -> list[Condition]:
    """The four conditions at the scale and the length of the studies."""
    return [
        _headroom(measurements),
        _capacity(measurements),
        _geometry(measurements),
        _above_plane_warp(measurements),
    ]


def failed(conditions: list[Condition]) -> list[str]:
    """Names of the conditions that are not met."""
    return [condition.name for condition in conditions if condition.met is False]


def regime_table(conditions: list[Condition]) -> pd.DataFrame:
    """One row per condition."""
    return pd.DataFrame(
        [
            {"condition": c.name, "needs": c.needs, "measured": c.measured, "met": c.word}
            for c in conditions
        ]
    )


def regime_of_scales() -> pd.DataFrame:
    """The four conditions of every scale whose results can be interpreted, one row per condition."""
    rows = [
        {"scale": scale, **row}
        for scale in SCALES
        if scale != "smoke"
        for row in regime_table(regime(Measurements.recorded(scale))).to_dict("records")
    ]
    return pd.DataFrame(rows)


def regime_of_evaluations() -> pd.DataFrame:
    """The conditions that an evaluation can show, one row per recorded evaluation: headroom, capacity, plane
    warp.

    The gain by self-attention needs another model, trained without it.
    """
    rows = []
    for result in recorded_evaluations():
        about, summary = result.about, result.metrics["summary"]
        ceiling, plane, model = (
            summary[m]["psnr"]["mean"] for m in ("half_resolution", "plane_warp", "model")
        )
        config = RunConfig.from_dict(about["run"]).model
        rows.append(
            {
                "weights": about["weights"],
                "data": about["data"],
                "protocol": about["protocol"],
                "views": about["views"],
                f"headroom, at least {HEADROOM:g} dB": f"{ceiling - plane:.2f}",
                "width, at least the values": f"{config.width}, {values_under(config)} values",
                "model above the plane warp (dB)": f"{model - plane:+.2f}",
            }
        )
    return pd.DataFrame(rows).sort_values(["data", "protocol", "views"], ignore_index=True)


def values_under(config: ModelConfig) -> int:
    """Colour values under a viewpoint token at the images' resolution, 3 (p f)^2."""
    return 3 * (config.patch * config.viewpoint_factor) ** 2


def _headroom(measurements: Measurements) -> Condition:
    config = run_config(measurements.scale)
    pair = [measurements.baseline(config, m) for m in ("half_resolution", "plane_warp")]
    name, needs = "headroom above a plane warp", f"ceiling - plane warp >= {HEADROOM:g} dB"
    if pair[0] is None or pair[1] is None:
        return Condition(name, needs, "-", None)
    headroom = pair[0] - pair[1]
    return Condition(
        name, needs, f"{pair[0]:.2f} - {pair[1]:.2f} = {headroom:.2f} dB", headroom >= HEADROOM
    )


def _capacity(measurements: Measurements) -> Condition:
    model = run_config(measurements.scale).model
    values = values_under(model)
    measured = f"width {model.width}, {values} values"
    needs = "width >= colour values under a token"
    return Condition("capacity of a token", needs, measured, model.width >= values)


def _geometry(measurements: Measurements) -> Condition:
    study = studies()[STUDY]
    by_name = {variant.name: variant for variant in study.variants}
    effects = [
        measurements.effect(study, by_name[BASE], by_name[WITHOUT], metric)
        for metric in ("psnr", "depth_spearman")
    ]
    name = "self-attention finds geometry"
    needs = f">= {GEOMETRY[0]:g} dB and >= {GEOMETRY[1]:g} of depth rank correlation"
    if effects[0] is None or effects[1] is None:
        return Condition(name, needs, "-", None)
    reached = [
        _reached(effect, least) for effect, least in zip(effects, GEOMETRY, strict=True) if effect
    ]
    met = None if None in reached and False not in reached else all(reached)
    seeds = f"{effects[0].seeds} seed{'s' * (effects[0].seeds > 1)}"
    text = f"{effects[0].text(2)} dB, {effects[1].text(2)} ({seeds})"
    return Condition(name, needs, text, met)


def _reached(effect: Effect, least: float) -> bool | None:
    """Whether an effect is at least as large; None if its interval lies on both sides."""
    if effect.low >= least:
        return True
    return False if effect.high < least else None


def _above_plane_warp(measurements: Measurements) -> Condition:
    study = studies()[STUDY]
    model = measurements.mean(study, study.reference, "psnr")
    above = measurements.above_baseline(study, study.reference, "plane_warp")
    name, needs = "the base model reconstructs", "base model > plane warp"
    if model is None or above is None:
        return Condition(name, needs, "-", None)
    text = f"{model.mean:.2f} dB, above the plane warp by {above.text(2)} dB"
    return Condition(name, needs, text, _reached(above, 0.0))
