"""Figures of counted costs, of measured time and memory, and of quality against time."""

import json
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.study import studies
from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.paper_configs import FULL_ATTENTION
from ilrm.presets import run_config
from reports.effects import Measurements
from reports.figures import style
from reports.tables.cost_tables import Benchmark

OURS, FULL = style.COLORS["model"], style.COLORS["base"]
DESIGN_COLORS = {"iLRM": OURS, "full attention": FULL}
VIEWS = (2, 4, 8, 16, 32, 64, 128, 256)
SIDES = (128, 256, 384, 512, 768, 1024)  # pixels
PARTS = {"projections": OURS, "attention": FULL, "mlp": style.COLORS["nearest_view"]}


def cost_against_views(height: int = 544, width: int = 960) -> Figure:
    """GMACs of a forward pass against the number of views: iLRM by kind of product, and full attention."""
    config = ModelConfig()
    figure, axes = _logarithmic("input views", "GMACs, forward pass", list(VIEWS))
    for block, dashes in (("cross", "--"), ("self", "-")):
        macs = cost.cross_block_macs if block == "cross" else cost.self_block_macs
        for part, color in PARTS.items():
            values = [
                config.layers * macs(config, views, height, width)[part] / 1e9 for views in VIEWS
            ]
            axes.plot(VIEWS, values, dashes, color=color, label=f"{block} blocks: {part}")
    _totals(axes, [(views, height, width) for views in VIEWS], list(VIEWS))
    views = cost.self_attention_takes_over(config, height, width)
    axes.axvline(views, color="black", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"{views} views: self-attention\nexceeds half of all MACs",
        (views, axes.get_ylim()[0]),
        (4, 6),
        textcoords="offset points",
        fontsize=7,
    )
    axes.set_title(f"12 layers, (V,H,F) at {height}x{width}", fontsize=10)
    return _finished(figure, axes)


def cost_against_resolution(views: int = 8) -> Figure:
    """GMACs of a forward pass against the size of square images, for iLRM and full attention."""
    figure, axes = _logarithmic("image side (pixels)", "GMACs, forward pass", list(SIDES))
    _totals(axes, [(views, side, side) for side in SIDES], list(SIDES))
    axes.set_title(f"12 layers, {views} views", fontsize=10)
    return _finished(figure, axes)


def _totals(axes: Axes, sizes: list[tuple[int, int, int]], x: list[int]) -> None:
    for name, fields in (("iLRM (V,H,F)", {}), ("full attention", FULL_ATTENTION)):
        config = ModelConfig(**fields)
        values = [sum(cost.analytic_macs(config, *size).values()) / 1e9 for size in sizes]
        marker = "s" if fields else "o"
        axes.plot(x, values, color="black", marker=marker, markersize=4, label=f"{name}, total")


def measured_against_views(benchmark: Benchmark) -> Figure:
    """Time and memory of the encoder against the number of views, for iLRM and full attention, at each image
    size.
    """
    style.use()
    rows = benchmark.rows[benchmark.rows.left_out == ""]
    rows = rows[rows.fields.isin(["{}", json.dumps(FULL_ATTENTION, sort_keys=True)])]
    sizes = sorted(set(zip(rows.height, rows.width, strict=True)))
    columns = [("encoder_s", 1e3, "encoder (ms)")]
    if rows.dropna(subset="memory").design.nunique() == 2:  # known of both designs
        columns.append(("memory", 1e-6, "peak memory of the encoder (MB)"))
    figure, grid = plt.subplots(1, len(columns), figsize=(4.5 * len(columns), 3.8), squeeze=False)
    panels = grid[0]
    for axes, (column, unit, label) in zip(panels, columns, strict=True):
        for key, grouped in rows.groupby(["design", "height", "width"]):
            design, height, width = key  # type: ignore[misc]
            own = grouped.sort_values("views")
            axes.plot(
                own.views,
                unit * own[column],
                color=DESIGN_COLORS[str(design)],
                marker="osv^D"[sizes.index((height, width))],
                label=f"{design}, {height}x{width}",
            )
        axes.set(xscale="log", yscale="log", xlabel="input views", ylabel=label)
        style.label_ticks(axes.xaxis, [views for views in VIEWS if views <= rows.views.max()])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=3)
    figure.tight_layout()
    plt.close(figure)
    return figure


def quality_against_time(benchmark: Benchmark, measurements: Measurements) -> Figure | None:
    """PSNR of the studies' variants against the measured time of their encoder, or None if there are none."""
    points = _timed_variants(benchmark, measurements)
    if not points:
        return None
    style.use()
    figure, axes = plt.subplots(figsize=(6.0, 4.2))
    axes.set_xscale("log")
    for number, point in enumerate(points, 1):
        full = point["design"] == "full attention"
        axes.plot(
            point["ms"],
            point["psnr"],
            color=FULL if full else OURS,
            marker="s" if full else "o",
            ls="",
            label=f"{number}  {point['name']}",
        )
        place = (point["ms"], point["psnr"])
        axes.annotate(f"{number}", place, (4, 3), textcoords="offset points")
    low, high = points[0]["ms"] / 1.2, points[-1]["ms"] * 1.2
    ticks = [tick for tick in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200) if low < tick < high]
    style.label_ticks(axes.xaxis, ticks)
    device = benchmark.about["device"]
    axes.set(xlabel=f"encoder (ms per scene, {device})", ylabel="PSNR (dB)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, markerscale=0.7)
    plt.close(figure)
    return figure


def _timed_variants(benchmark: Benchmark, measurements: Measurements) -> list[dict[str, Any]]:
    """Variants of studies whose model and input size were timed, fastest first: name, design, ms, psnr."""
    scale = measurements.scale
    rows = benchmark.rows[benchmark.rows.left_out == ""].to_dict("records")
    timed = {
        (run_config(scale, **json.loads(row["fields"])).model, row["views"], row["height"]): row
        for row in rows
    }
    points: dict[tuple, dict[str, Any]] = {}
    for study in studies().values():
        for variant in study.variants:
            run = run_config(**study.parameters(variant, scale, 0))
            key = (run.model, run.data.context_views, run.data.image_height)
            mean = measurements.mean(study, variant, "psnr")
            if run == run.training and key in timed and mean is not None:
                row = timed[key]
                points[key] = {"name": row["case"], "design": row["design"], "psnr": mean.mean}
                points[key]["ms"] = 1e3 * row["encoder_s"]
    return sorted(points.values(), key=lambda point: point["ms"])


def _logarithmic(x: str, y: str, ticks: list[int]) -> tuple[Figure, Axes]:
    style.use()
    figure, axes = plt.subplots(figsize=(5.6, 4.0))
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    style.label_ticks(axes.xaxis, ticks)
    return figure, axes


def _finished(figure: Figure, axes: Axes) -> Figure:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    plt.close(figure)
    return figure
