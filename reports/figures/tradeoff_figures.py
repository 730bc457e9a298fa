"""Reconstruction time against quality of recorded trade-offs (`python -m ilrm.tradeoff`), one figure per
capture.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ilrm.errors import RunError
from ilrm.runs.records import TRADEOFFS, recorded
from ilrm.runs.store import AGAIN
from ilrm.system.json_files import read_json
from ilrm.system.tables import read_table
from ilrm.vocabulary import METHODS
from reports.figures import style

COLORS = {
    "ilrm": style.COLORS["model"],
    "3d-gs": style.COLORS["base"],
    "splat": style.COLORS["splat"],
}
LINE_STYLES = {"plane_warp": "--", "plane_sweep": ":"}
LABELS = {0: "zero-shot", 10: "+10", 20: "+20"}
ABOVE = (0, 7)  # points; offset of annotations


def tradeoff_figures() -> dict[str, Figure]:
    """{file stem: figure} for all recorded trade-offs."""
    style.use()
    figures = {}
    for folder in recorded(TRADEOFFS, "rows.csv"):
        rows = read_table(folder / "rows.csv")
        figures[f"tradeoff_{folder.name}"] = _figure(rows, _about(folder))
    return figures


def _about(folder: Path) -> dict[str, Any]:
    return read_json(folder / "about.json", RunError, AGAIN)


def _figure(rows: pd.DataFrame, about: dict[str, Any]) -> Figure:
    metrics = [name for name in ("psnr", "lpips") if name in rows]
    figure, panels = plt.subplots(
        1, len(metrics), figsize=(4.6 * len(metrics), 3.6), layout="constrained", squeeze=False
    )
    for axes, metric in zip(panels[0], metrics, strict=True):
        for method, color in COLORS.items():
            part = rows[rows.method == method]
            names = {"ilrm": "iLRM, with refinement", "3d-gs": "3D-GS from scratch",
                     "splat": f"3D-GS from {about['splat_start']}"}  # fmt: skip
            label = f"{names[method]} ({part.gaussians.iloc[-1]:,.0f} Gaussians)"
            axes.plot(part.seconds, part[metric], "o-", ms=4, color=color, label=label)
        for rival, line in LINE_STYLES.items():
            value = rows.loc[rows.method == rival, metric].iloc[0]
            axes.axhline(value, ls=line, lw=1, color=style.COLORS[rival], label=METHODS[rival])
        ours = rows[rows.method == "ilrm"]
        for steps, seconds, value in ours[["steps", "seconds", metric]].to_numpy().tolist():
            axes.annotate(
                LABELS[int(steps)],
                (seconds, value),
                xytext=ABOVE,
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=COLORS["ilrm"],
            )
        axes.set_xscale("log")
        axes.margins(x=0.1, y=0.12)
        ylabel = "PSNR (dB), higher is better" if metric == "psnr" else "LPIPS, lower is better"
        axes.set(xlabel="seconds", ylabel=ylabel)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        f"{style.plain(about['capture'])}: {about['views']} input views of {about['size']}, "
        f"{about['targets']} held out; "
        f"{about['environment']['device'].replace('(R)', '')}",
        fontsize=9,
    )
    plt.close(figure)
    return figure
