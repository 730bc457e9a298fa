"""Figures of a run: its learning curve, its renders against ground truth."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ilrm.baselines import nearest_view
from ilrm.config import EvaluationConfig
from ilrm.data.scenes import VALIDATION_SCENES, held_out_scenes
from ilrm.evaluation import predict, scene_means, with_inaccurate_poses
from ilrm.metrics import psnr
from ilrm.model import ILRM
from ilrm.runs import Run
from ilrm.views import EvaluationScene
from reports import style


def learning_curve(run: Run, base: Run | None = None) -> Figure:
    """Validation PSNR against steps, beside the trivial baselines and, if given, the base model."""
    style.use()
    figure, axes = plt.subplots(figsize=(6.5, 3.6))
    for name, shown in (("model", run), ("base", base)):
        if shown is not None:
            curve = shown.history.dropna(subset="validation_psnr")
            color, label = style.COLORS[name], style.LABELS[name]
            axes.plot(curve.step, curve.validation_psnr, color=color, label=label, marker=".")
    validated = run.per_view.scene.unique()[:VALIDATION_SCENES]  # the scenes of the curve
    for method in ("nearest_view", "mean_colour"):
        value = scene_means(run.per_view, method, "psnr")[validated].mean()
        color, label = style.COLORS[method], style.LABELS[method]
        axes.axhline(value, color=color, linestyle="--", label=f"{label} ({value:.1f} dB)")
    label = f"PSNR (dB), {len(validated)} held-out scenes"
    axes.set(xlabel="training step", ylabel=label, title=run.config.name)
    axes.legend(loc="lower right")
    plt.close(figure)
    return figure


def representative_scenes(run: Run) -> dict[str, str]:
    """{"best" | "median" | "worst": scene key} by the model's PSNR: rows chosen by rule, not by hand."""
    ranked = scene_means(run.per_view, "model", "psnr").sort_values()
    keys = ranked.index.tolist()
    return {"best": keys[-1], "median": keys[len(keys) // 2], "worst": keys[0]}


def renders(run: Run) -> Figure:
    """Inputs, ground truth, render, error and depth of the best, median and worst held-out scene."""
    style.use()
    chosen = representative_scenes(run)
    scenes = held_out_scenes(run.config.evaluation_data)
    model = run.model()
    how = run.config.evaluation
    rows = [(name, _panels(model, scenes.load(key), how)) for name, key in chosen.items()]
    titles = list(rows[0][1])
    size = (1.35 * len(titles), 1.55 * len(rows))
    figure, axes = plt.subplots(len(rows), len(titles), figsize=size, squeeze=False)
    for index, (row, (name, panels)) in enumerate(zip(axes, rows, strict=True)):
        for ax, title in zip(row, titles, strict=True):
            panel, caption = panels[title]
            depth = panel.ndim == 2
            ax.imshow(panel, cmap="viridis" if depth else None)
            ax.set(xticks=[], yticks=[], xlabel=caption)
            ax.grid(False)
            if index == 0:
                ax.set_title(title, fontsize=9)
        row[0].set_ylabel(name)
    figure.tight_layout(pad=0.4)
    plt.close(figure)
    return figure


def _panels(
    model: ILRM, scene: EvaluationScene, how: EvaluationConfig
) -> dict[str, tuple[np.ndarray, str]]:
    """{title: (image [H, W, 3] or depth [H, W], caption)} of a scene's middle target view."""
    seen = with_inaccurate_poses(scene.batch, how.camera_noise, scene.key)
    rendering = predict(model, seen, depth=True, layer=how.decoded_layer)
    assert rendering.depths is not None
    middle = len(scene.frames) // 2
    truth, render = scene.batch.targets.images[0, middle], rendering.images[0, middle].clamp(0, 1)
    nearest = nearest_view(scene.batch)[0, middle]
    panels = {
        f"input {v + 1}": (image, "")
        for v, image in enumerate(scene.batch.inputs.images[0].permute(0, 2, 3, 1).numpy())
    }

    def caption(image) -> str:
        return f"{psnr(image[None], truth[None]).item():.1f} dB"

    panels |= {
        "ground truth": (truth.permute(1, 2, 0).numpy(), f"frame {scene.frames[middle]}"),
        "iLRM": (render.permute(1, 2, 0).numpy(), caption(render)),
        "nearest view": (nearest.permute(1, 2, 0).numpy(), caption(nearest)),
        "error x 4": ((4 * (render - truth).abs()).clamp(0, 1).permute(1, 2, 0).numpy(), ""),
        "depth": (rendering.depths[0, middle, 0].numpy(), ""),
    }
    if scene.depths is not None:
        panels["true depth"] = (scene.depths[middle].numpy(), "")
    return panels
