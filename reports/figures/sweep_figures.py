"""Figures of recorded sweeps: trials or Pareto front, and the importances of the searched fields."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.sweep import Sweep, find_sweep, fits, importances, study_of
from ilrm.system.tables import read_table
from reports.figures import style

LABELS = {"psnr": "validation PSNR (dB)", "gmacs": "GMACs per scene, forward pass"}
BEST, OTHER = style.COLORS["model"], style.COLORS["mean_colour"]
BARS = {"psnr": style.COLORS["model"], "gmacs": style.COLORS["base"]}


def sweep_figures(folder: Path) -> dict[str, Figure]:
    """{file stem: figure} for the sweeps recorded in a folder, one CSV file per sweep; the folder is named by
    the scale. Records of a sweep whose definition has changed since are not shown.
    """
    figures = {}
    for path in sorted(folder.glob("*.csv")):
        sweep, table = find_sweep(path.stem), read_table(path, "search")
        if fits(sweep, folder.name, table):
            figures[f"sweep_{path.stem}"] = sweep_figure(sweep, table)
    return figures


def sweep_figure(sweep: Sweep, table: pd.DataFrame) -> Figure:
    """Trials of a sweep, and the importances of its fields. `table`: from `ablations.sweep.results`."""
    style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), width_ratios=(3, 2))
    complete = table[table.state == "complete"]
    if len(sweep.objectives) > 1:
        _front(left, sweep, complete, table)
    else:
        _trials(left, sweep.objectives[0], complete, table)
    trials = f"{len(table)} trials, {len(table) - len(complete)} pruned"
    repeated = int(complete.duplicated(list(sweep.space)).sum())
    if repeated:
        trials += f", {repeated} repeated"
    left.set_title(style.plain(f"{sweep.title}: {trials}"))
    left.title.set_fontsize(9)
    _importances(right, sweep, table)
    figure.tight_layout()
    plt.close(figure)
    return figure


def _trials(axes: Axes, objective: str, complete: pd.DataFrame, table: pd.DataFrame) -> None:
    """Plot the objective of every trial and the best value so far."""
    ordered = complete.sort_values("trial")
    axes.plot(ordered.trial, ordered[objective], "o", color=OTHER, label="trial")
    best = ordered[objective].cummax()
    axes.step(ordered.trial, best, where="post", color=BEST, label="best so far")
    pruned = table[table.state == "pruned"]
    axes.plot(pruned.trial, pruned[objective], "x", color=OTHER, label="pruned, last value")
    axes.set(xlabel="trial", ylabel=LABELS[objective])
    _legend_below(axes)


def _front(axes: Axes, sweep: Sweep, complete: pd.DataFrame, table: pd.DataFrame) -> None:
    """Plot quality against cost, with the trials on the Pareto front connected."""
    y, x = sweep.objectives
    axes.plot(complete[x], complete[y], "o", color=OTHER, label="trial")
    front = sorted((t.values[1], t.values[0], t.number) for t in study_of(sweep, table).best_trials)
    axes.step(*zip(*[point[:2] for point in front], strict=True), where="post", color=BEST)
    axes.plot(
        *zip(*[p[:2] for p in front], strict=True), "o", color=BEST, ls="", label="Pareto front"
    )
    axes.set_xscale("log")
    axes.set(xlabel=LABELS[x], ylabel=LABELS[y])
    _legend_below(axes)


def _importances(axes: Axes, sweep: Sweep, table: pd.DataFrame) -> None:
    study = study_of(sweep, table)
    shares = pd.DataFrame(
        {name: importances(study, k) for k, name in enumerate(sweep.objectives)},
        index=list(sweep.space),
    )
    height = 0.8 / len(sweep.objectives)
    for k, name in enumerate(sweep.objectives):
        places = [y + k * height for y in range(len(shares))]
        axes.barh(places, shares[name], height, color=BARS[name], label=LABELS[name])
    centre = 0.5 * height * (len(sweep.objectives) - 1)
    axes.set_yticks([y + centre for y in range(len(shares))], list(shares.index))
    axes.invert_yaxis()
    axes.set_xlabel("share of the variance explained (fANOVA)")
    axes.grid(False, axis="y")
    if len(sweep.objectives) > 1:
        _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=8)
