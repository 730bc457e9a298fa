"""Figures of the studies: quality against layers, cost, views and noise, and effects next to the paper's."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.study import Study, StudyError, Variant, studies
from ilrm.presets import run_config
from ilrm.vocabulary import METHODS, PLANES
from reports.effects import Effect, Measurements
from reports.figures import style
from reports.published import row_pair, rows_of

OURS, PAPER = style.COLORS["model"], style.COLORS["base"]


def quality_against(
    study: Study,
    places: dict[str, float],
    label: str,
    measurements: Measurements,
    scale: str = "linear",
) -> Figure | None:
    """PSNR of a study's variants at the given x positions, with the paper's values on a shifted axis.

    `places`: {variant: x}. Points are means over seeds and scenes; error bars are 95% intervals of the
    difference from the reference. Returns None if fewer than two points are recorded. Raises StudyError if
    `places` has a name that is not a variant of the study.
    """
    for name in places.keys() - {variant.name for variant in study.variants}:
        raise StudyError(f"study {study.name} has no variant {name!r}: correct its figure's places")
    points = _points(study, places, measurements)
    if len(points) < 2:
        return None
    style.use()
    figure, axes = plt.subplots(figsize=(5.2, 3.4))
    x = [place for place, _, _ in points]
    means = np.array([mean.mean for _, mean, _ in points])
    spread = np.array(
        [
            (0.0, 0.0) if effect is None else (effect.mean - effect.low, effect.high - effect.mean)
            for _, _, effect in points
        ]
    )
    axes.errorbar(
        x, means, spread.T, color=OURS, marker="o", capsize=3, label=f"{measurements.scale} scale"
    )
    axes.set(
        xlabel=label,
        ylabel=f"PSNR (dB), {measurements.scale} scale",
        title=style.plain(study.title),
    )
    axes.set_xscale(scale)
    style.label_ticks(axes.xaxis, x)
    for method in PLANES:
        _baseline(axes, method, study, places, measurements)
    lines, labels = axes.get_legend_handles_labels()
    if (other := _paper_points(axes, study, places, measurements)) is not None:
        paper, paper_labels = other.get_legend_handles_labels()
        lines, labels = lines + paper, labels + paper_labels
    axes.legend(lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    plt.close(figure)
    return figure


def _points(
    study: Study, places: dict[str, float], measurements: Measurements
) -> list[tuple[float, Effect, Effect | None]]:
    points = []
    for variant in study.variants:
        mean = measurements.mean(study, variant, "psnr") if variant.name in places else None
        if mean is not None:
            effect = None
            if variant is not study.reference:
                effect = measurements.effect(study, variant, study.reference, "psnr")
            points.append((places[variant.name], mean, effect))
    return sorted(points, key=lambda point: point[0])


def _baseline(
    axes: Axes, method: str, study: Study, places: dict[str, float], measurements: Measurements
) -> None:
    """Plot a baseline that learns nothing, at exact cameras."""
    values = []
    for variant in study.variants:
        if variant.name in places and "camera_noise" not in variant.fields:
            config = run_config(**study.parameters(variant, measurements.scale, 0))
            values.append((places[variant.name], measurements.baseline(config, method)))
    shown = sorted((x, value) for x, value in values if value is not None)
    if shown:
        color = style.COLORS[method]
        axes.plot(*zip(*shown, strict=True), color=color, marker="_", ls=":", label=METHODS[method])


def _paper_points(
    axes: Axes, study: Study, places: dict[str, float], measurements: Measurements
) -> Axes | None:
    """Plot the paper's values on a second axis with the same scale, shifted to align the references.

    Returns that axis, or None if there are fewer than two values.
    """
    values = {
        places[v.name]: rows_of(v)[0].value("psnr")
        for v in study.variants
        if v.name in places and v.rows
    }
    shown = sorted((x, value) for x, value in values.items() if value is not None)
    level = measurements.mean(study, study.reference, "psnr")
    reference = rows_of(study.reference)[0].value("psnr") if study.reference.rows else None
    if len(shown) < 2 or level is None or reference is None:
        return None
    shift = reference - level.mean
    low, high = axes.get_ylim()
    margin = 0.05 * (high - low)
    low = min([low, *(value - shift - margin for _, value in shown)])
    high = max([high, *(value - shift + margin for _, value in shown)])
    axes.set_ylim(low, high)
    other = axes.twinx()
    other.set_ylim(low + shift, high + shift)
    other.plot(*zip(*shown, strict=True), color=PAPER, marker="s", linestyle="--", label="paper")
    other.set_ylabel("PSNR (dB), paper")
    other.grid(False)
    other.spines["right"].set_visible(True)
    return other


def effects(measurements: Measurements, metric: str = "psnr") -> Figure | None:
    """Effects of all variants relative to their study's reference, with intervals, next to the paper's.

    Variants are below the title of their study, which names the reference.
    """
    rows: list[tuple[Study, Variant, Effect]] = []
    labels: list[str] = []  # titles and variants, line by line
    places: list[int] = []  # lines of the variants
    for study in studies().values():
        measured = [
            (study, variant, effect)
            for variant in study.variants[1:]
            if (effect := measurements.effect(study, variant, study.reference, metric)) is not None
        ]
        if measured:
            labels.append(f"{study.title} (from {study.reference.name})")
            places += range(len(labels), len(labels) + len(measured))
            labels += [variant.name for _, variant, _ in measured]
            rows += measured
    if not rows:
        return None
    style.use()
    figure, axes = plt.subplots(figsize=(7.2, 0.26 * len(labels) + 1.2))
    for y, (study, variant, effect) in zip(places, rows, strict=True):
        bounds = [[effect.mean - effect.low], [effect.high - effect.mean]]
        fill = OURS if effect.seeds > 1 else "white"
        axes.errorbar(
            effect.mean, y, xerr=bounds, color=OURS, marker="o", mfc=fill, markersize=4, capsize=2
        )
        paper = _paper_effect(variant, study.reference, metric)
        if paper is not None:
            axes.plot(paper, y, color=PAPER, marker="s", markersize=5, linestyle="none")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=1.0)
    style.label_ticks(axes.xaxis, [-10, -5, -2, -1, -0.5, 0, 0.5, 1, 2])
    axes.set_yticks(range(len(labels)), [style.plain(label) for label in labels])
    for y, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("normal" if y in places else "bold")
    axes.invert_yaxis()
    axes.set_xlabel("change in PSNR relative to the study's reference (dB; linear within 1 dB)")
    axes.plot([], [], color=OURS, marker="o", label=f"{measurements.scale} scale, 95% interval")
    axes.plot(
        [], [], color=OURS, marker="o", mfc="white", label="one seed: interval over scenes only"
    )
    axes.plot([], [], color=PAPER, marker="s", linestyle="none", label="paper")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=8)
    plt.close(figure)
    return figure


def _paper_effect(variant: Variant, reference: Variant, metric: str) -> float | None:
    pair = row_pair(variant, reference)
    if pair is None:
        return None
    a, b = (row.value(metric) for row in pair)
    return None if a is None or b is None else a - b


def quality_against_macs(measurements: Measurements) -> Figure | None:
    """PSNR of all trained variants, numbered, against the MACs of their forward pass.

    Lines are the baselines with the usual inputs; variants with others have a plane warp of their own.
    """
    usual = run_config(measurements.scale)
    points: dict[tuple[float, float], str] = {}
    other_inputs: dict[tuple[float, float], int] = {}  # (GMACs, the plane warp's PSNR): input views
    for study in studies().values():
        for variant in study.variants:
            mean = measurements.mean(study, variant, "psnr")
            if mean is None or _evaluation_only(variant):
                continue
            macs = float(measurements.runs.macs[mean.runs[0]]) / 1e9
            config = run_config(**study.parameters(variant, measurements.scale, 0))
            level = measurements.baseline(config, "plane_warp")
            same = config.evaluation_data.held_out_hash == usual.evaluation_data.held_out_hash
            if level is not None and not same:
                other_inputs[macs, level] = config.data.context_views
            base = variant is study.reference and not variant.fields
            points.setdefault((macs, mean.mean), "base" if base else variant.name)
    if not points:
        return None
    style.use()
    figure, axes = plt.subplots(figsize=(6.0, 5.2))
    axes.set_xscale("log")
    for number, ((macs, psnr), name) in enumerate(sorted(points.items()), 1):
        color = PAPER if name == "base" else OURS
        axes.plot(
            macs, psnr, color=color, marker="o", ls="none", label=style.plain(f"{number}  {name}")
        )
        axes.annotate(f"{number}", (macs, psnr), (3, 4), textcoords="offset points", fontsize=7)
    for method in PLANES:
        level = measurements.baseline(usual, method)
        if level is not None:
            axes.axhline(level, color=style.COLORS[method], ls=":")
            text = f"{METHODS[method]}, {usual.data.context_views} views (learns nothing)"
            axes.annotate(
                text, (1, level), (-4, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", fontsize=7, color=style.COLORS[method],
            )  # fmt: skip
    for (macs, level), views in other_inputs.items():
        color = style.COLORS["plane_warp"]
        axes.plot(macs, level, color=color, marker="_", ms=12, ls="none")
        axes.annotate(
            f"{METHODS['plane_warp']}, {views} views", (macs, level), (0, 4),
            textcoords="offset points", ha="center", fontsize=7, color=color,
        )  # fmt: skip
    style.label_ticks(axes.xaxis, style.round_numbers(*axes.get_xlim()))
    axes.set(
        xlabel="GMACs per scene, forward pass", ylabel=f"PSNR (dB), {measurements.scale} scale"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, markerscale=0)
    plt.close(figure)
    return figure


def _evaluation_only(variant: Variant) -> bool:
    return bool(variant.fields.keys() & {"input_views", "camera_noise", "decoded_layer"})


def study_figures(measurements: Measurements) -> dict[str, Figure]:
    """{file stem: figure} for all figures with recorded data at a scale."""
    known = studies()
    made: dict[str, Figure | None] = {
        "effects": effects(measurements),
        "quality_against_macs": quality_against_macs(measurements),
        "quality_against_layers": quality_against(
            known["layers"],
            {f"{n} layers": n for n in (3, 6, 9, 12)},
            "update layers",
            measurements,
        ),
        "quality_against_views": quality_against(
            known["views"],
            {"(2,H,F)": 2, "(4,H,F)": 4, "(8,H,F)": 8},
            "input views (training and evaluation)",
            measurements,
            scale="log",
        ),
        "quality_against_unseen_views": quality_against(
            known["unseen_views"],
            {"8 views, as trained": 8, "10 views": 10, "12 views": 12},
            "input views at evaluation (8 in training)",
            measurements,
        ),
        "quality_against_noise": quality_against(
            known["camera_noise"],
            {"exact": 0, "0.3 pixels": 0.3, "1.6 pixels": 1.6},
            "noise on camera positions (pixels at the median depth)",
            measurements,
        ),
        "quality_against_decoded_layer": quality_against(
            known["refinement"],
            {f"layer {n}": n for n in (0, 3, 6, 8, 10, 12)},
            "layer decoded by the final head",
            measurements,
        ),
    }
    return {name: figure for name, figure in made.items() if figure is not None}
