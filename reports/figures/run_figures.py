"""Figures of a run: learning curve, and renders next to the ground truth."""

from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ilrm.data.batches import VALIDATION_SCENES, held_out_scenes
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.inaccurate_poses import with_inaccurate_poses
from ilrm.evaluation.summary import scene_means
from ilrm.runs.store import Run
from ilrm.vocabulary import METHODS, RIVALS
from reports.figures import qualitative, style


def learning_curve(run: Run, base: Run | None = None) -> Figure:
    """Validation PSNR against training steps, with the baselines and, if given, the base model."""
    style.use()
    figure, axes = plt.subplots(figsize=(6.5, 3.6))
    for name, label, shown, width in (  # the base model's curve is wide, as the run's may cover it
        ("model", "this run", run, 1.5),
        ("base", "base model", base, 5.0),
    ):
        if shown is not None:
            curve = shown.history.dropna(subset="validation_psnr")
            axes.plot(
                curve.step,
                curve.validation_psnr,
                color=style.COLORS[name],
                label=label,
                linewidth=width,
                zorder=3 - width / 10,
                alpha=1.0 if width < 2 else 0.5,
            )
    validated = run.per_view.scene.unique()[:VALIDATION_SCENES]  # the scenes of the learning curve
    for method in (m for m in RIVALS if m in run.metrics["summary"]):
        value = scene_means(run.per_view, method, "psnr")[validated].mean()
        color, label = style.COLORS[method], METHODS[method]
        axes.axhline(value, color=color, linestyle="--", label=f"{label} ({value:.1f} dB)")
    label = f"PSNR (dB), {len(validated)} held-out scenes"
    axes.set(xlabel="training step", ylabel=label, title=run.config.name)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.close(figure)
    return figure


def renders(run: Run) -> Figure:
    """Input views, ground truth, render, error and depth of the best, median and worst held-out scene, with
    the evaluation options of the run.
    """
    options = run.config.evaluation
    quality = scene_means(run.per_view, "model", "psnr")
    scenes = held_out_scenes(run.config.evaluation_data)
    methods = {"iLRM": qualitative.method_of(run.model(), layer=options.decoded_layer)}
    plane = Baselines.of(scenes).plane
    rows = []
    for name, key in qualitative.by_rule(quality.to_dict()).items():
        scene = scenes.load(key)
        batch = with_inaccurate_poses(scene, options.camera_noise)
        rows.append(qualitative.row(name, methods, replace(scene, batch=batch), plane))
    return qualitative.draw(rows)
