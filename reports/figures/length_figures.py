"""Effects against the length of training.

A trend towards the paper's effect is a finding; the effect at a single length is not.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.study import LENGTHS, studies
from ilrm.vocabulary import METRICS
from reports.claims import Claim, claims, judge_claim
from reports.effects import Effect, Measurements
from reports.figures import style

COLUMNS = 2


@dataclass(frozen=True)
class Trend:
    """A claim's effect at several numbers of training steps."""

    claim: Claim
    paper: float | None
    effects: dict[int, Effect]  # by training steps


def trends(measurements: Measurements) -> list[Trend]:
    """The claims that are marked `against_length`, with their effects at all recorded lengths."""
    chosen = []
    for claim in (claim for claim in claims() if claim.against_length):
        study = studies()[claim.study]
        own = study.cells(measurements.scale, 1)[0].config.train.steps
        at = {own: study} | {n: study.trained_for(n) for n in LENGTHS.get(measurements.scale, ())}
        entries = {steps: judge_claim(claim, at[steps], measurements) for steps in sorted(at)}
        effects = {n: entry.effect for n, entry in entries.items() if entry.effect is not None}
        if effects:
            chosen.append(Trend(claim, entries[own].paper, effects))
    return chosen


def trend_table(chosen: list[Trend]) -> pd.DataFrame:
    """One row per claim: its effect at each length, with interval and seeds, and the paper's."""
    lengths = sorted({steps for trend in chosen for steps in trend.effects})
    rows = []
    for trend in chosen:
        metric = METRICS[trend.claim.metric]
        row = {
            "effect": f"{trend.claim.better} - {trend.claim.worse} ({metric.unit or metric.label})"
        }
        for steps in lengths:
            effect = trend.effects.get(steps)
            seeds = "" if effect is None else f", {effect.seeds} seed{'s' * (effect.seeds > 1)}"
            row[f"{steps:,} steps"] = "-" if effect is None else effect.text(metric.digits) + seeds
        row["paper"] = "-" if trend.paper is None else f"{trend.paper:+.{metric.digits}f}"
        rows.append(row)
    return pd.DataFrame(rows)


def effects_against_length(chosen: list[Trend], scale: str) -> Figure | None:
    """One panel per claim: the effect with its interval against training steps, and the paper's as a line.

    An open circle means one seed, with an interval over scenes only. None without two lengths.
    """
    chosen = [trend for trend in chosen if len(trend.effects) > 1]
    if not chosen:
        return None
    style.use()
    rows = -(-len(chosen) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(4.0 * COLUMNS, 2.5 * rows), squeeze=False, layout="constrained"
    )
    for panel, trend in zip(axes.flat, chosen, strict=False):
        _panel(panel, trend, scale)
    for panel in axes.flat[len(chosen) :]:
        panel.axis("off")
    handles = {
        label: handle
        for panel in axes.flat
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    plt.close(figure)
    return figure


def _panel(axes: Axes, trend: Trend, scale: str) -> None:
    ours = style.COLORS["model"]
    steps, effects = list(trend.effects), list(trend.effects.values())
    axes.plot(steps, [effect.mean for effect in effects], color=ours, linewidth=1)
    for n, effect in trend.effects.items():
        bounds = [[effect.mean - effect.low], [effect.high - effect.mean]]
        fill = ours if effect.seeds > 1 else "white"
        label = f"{scale} scale, 95% interval"
        axes.errorbar(
            n, effect.mean, bounds, color=ours, marker="o", mfc=fill, capsize=3, label=label
        )
    axes.axhline(0, color="black", linewidth=0.8)
    if trend.paper is not None:
        axes.axhline(trend.paper, color=style.COLORS["base"], linestyle="--", label="paper")
    axes.set_xscale("log")
    style.label_ticks(axes.xaxis, steps, "{:,}")
    metric = METRICS[trend.claim.metric]
    axes.set(xlabel="training steps", ylabel=f"effect ({metric.unit or metric.label})")
    axes.set_title(style.plain(f"{trend.claim.better}\nminus {trend.claim.worse}"), fontsize=9)
