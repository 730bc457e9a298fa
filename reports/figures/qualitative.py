"""Side-by-side comparisons (Figures 5 to 7, 10, 13 to 17): input views, ground truth, renders, errors and
depth of the best, median and worst scene of any dataset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ilrm.evaluation.baselines import Baselines, nearest_view, plane_warp
from ilrm.evaluation.layers import layer_gaussians
from ilrm.export.pictures import depth_image, depth_limits, mosaic, to_image
from ilrm.gaussians import Gaussians
from ilrm.metrics import psnr
from ilrm.model import ILRM
from ilrm.reconstruction.optimization import refine
from ilrm.rendering import Rendering, render
from ilrm.system.progress import progress_bar
from ilrm.views import EvaluationScene, Views
from ilrm.weights.state import Weights
from reports.figures import style

ROOMS = 16  # number of held-out rooms used by default
ERROR = 4  # amplification of errors
CELL = 1.35  # inches
Method = Callable[[Views], Gaussians]


@dataclass(frozen=True)
class Panel:
    """An image and its caption."""

    image: np.ndarray  # [H, W, 3] uint8
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the figure for one scene: panels by title."""

    label: str
    panels: dict[str, Panel]


def method_of(model: ILRM, refinement_steps: int = 0, layer: int | None = None) -> Method:
    """Function from input views to a model's Gaussians, decoded from the last layer or from `layer`
    (0: V^(0)), and refined on the input views for `refinement_steps` steps (iLRM_20: 20).
    """

    def gaussians(inputs: Views) -> Gaussians:
        predicted = layer_gaussians(model, inputs)[-1 if layer is None else layer]
        return refine(predicted, inputs, refinement_steps)

    return gaussians


def methods_of(weights: dict[str, Weights], refinement_steps: int = 0) -> dict[str, Method]:
    """The models by label and, if `refinement_steps`, the refined first model."""
    methods = {name: method_of(entry.model) for name, entry in weights.items()}
    if refinement_steps:
        first, entry = next(iter(weights.items()))
        refined = method_of(entry.model, refinement_steps)
        methods[f"{first}_{refinement_steps}"] = refined  # the paper's notation
    return methods


def by_rule(quality: dict[Any, float]) -> dict[str, Any]:
    """{rank: key} of the best, median and worst quality, without repetition for fewer than three keys."""
    order = sorted(quality, key=lambda which: quality[which])
    chosen = {order[0]: "worst", order[len(order) // 2]: "median"} | {order[-1]: "best"}
    return {rank: which for which, rank in reversed(chosen.items())}


def rows(methods: dict[str, Method], scenes: Sequence[EvaluationScene]) -> list[Row]:
    """Rows for the best, median and worst scene by the first method's mean PSNR over the target views, each
    showing the middle target view.
    """
    first = next(iter(methods.values()))
    plane = Baselines.of(scenes).plane
    shown = progress_bar(scenes, desc="render", unit="scene", leave=False)
    quality = {
        number: _quality(scene, _rendering(first, scene, depth=False))
        for number, scene in enumerate(shown)
    }
    return [
        row(f"{rank} of {len(scenes)}", methods, scenes[number], plane)
        for rank, number in by_rule(quality).items()
    ]


def draw(figure_rows: Sequence[Row]) -> Figure:
    """Draw rows of panels, with titles above the first row."""
    style.use()
    titles = list(figure_rows[0].panels)
    height, width = figure_rows[0].panels[titles[1]].image.shape[:2]
    size = (CELL * len(titles) * width / height, (CELL + 0.16) * len(figure_rows) + 0.25)
    figure, grid = plt.subplots(
        len(figure_rows), len(titles), figsize=size, squeeze=False, layout="constrained"
    )
    for axes_row, shown in zip(grid, figure_rows, strict=True):
        for axes, title in zip(axes_row, titles, strict=True):
            panel = shown.panels[title]
            axes.imshow(panel.image)
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.spines[:].set_visible(False)
            axes.set_xlabel(panel.caption, fontsize=8)
            if shown is figure_rows[0]:
                axes.set_title(style.plain(title), fontsize=8)
        axes_row[0].set_ylabel(style.plain(shown.label), fontsize=9)
    plt.close(figure)
    return figure


def arrays(figure_rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The images of the figure, as {"row/title": uint8 [H, W, 3]}."""
    return {
        f"{scene.label}/{' '.join(title.split())}": panel.image
        for scene in figure_rows
        for title, panel in scene.panels.items()
    }


def _rendering(method: Method, scene: EvaluationScene, depth: bool) -> Rendering:
    gaussians = method(scene.batch.inputs)
    with torch.no_grad():
        return render(gaussians, scene.batch.targets.cameras, depth=depth)


def _quality(scene: EvaluationScene, rendering: Rendering) -> float:
    return float(psnr(rendering.images[0], scene.batch.targets.images[0]).mean())


def row(heading: str, methods: dict[str, Method], scene: EvaluationScene, plane: float) -> Row:
    """The row for a scene's middle target view. `plane`: inverse depth of the data set's plane warp."""
    view = len(scene.frames) // 2
    truth = scene.batch.targets.images[0, view]
    inputs = [to_image(image) for image in scene.batch.inputs.images[0]]
    panels = {
        "inputs": Panel(np.asarray(mosaic(inputs)), f"{len(inputs)} views"),
        "ground truth": Panel(_pixels(truth), f"{scene.key}, {scene.frames[view]}"),
    }
    renderings = {name: _rendering(method, scene, depth=True) for name, method in methods.items()}
    images = {name: rendering.images[0, view] for name, rendering in renderings.items()}
    images["nearest view"] = nearest_view(scene.batch)[0, view]
    images["plane warp"] = plane_warp(scene.batch, plane)[0, view]
    for name, image in images.items():
        value = psnr(image[None].clamp(0, 1), truth[None]).item()
        panels[name] = Panel(_pixels(image), f"{value:.1f} dB")
    for name in renderings:
        error = ERROR * (images[name].clamp(0, 1) - truth).abs()
        panels[f"error x {ERROR}\n{name}"] = Panel(_pixels(error))
    depths = {name: _depth(rendering, view) for name, rendering in renderings.items()}
    true = scene.depths[view] if scene.depths is not None else None
    limits = depth_limits(next(iter(depths.values())) if true is None else true)
    for name, depth in depths.items():
        panels[f"depth\n{name}"] = Panel(np.asarray(depth_image(depth, limits)))
    if true is not None:
        panels["true depth"] = Panel(np.asarray(depth_image(true, limits)))
    return Row(heading, panels)


def _depth(rendering: Rendering, view: int) -> Tensor:
    assert rendering.depths is not None
    return rendering.depths[0, view, 0]


def _pixels(image: Tensor) -> np.ndarray:
    return np.asarray(to_image(image))


def label_of(weights: Weights) -> str:
    """Label of a model in figures, after the component of the paper's design that it lacks."""
    model = weights.config.model
    if model.cross_attention == "none":
        return "full attention"
    if not model.self_attention:
        return "no self-attention"
    return "images read once" if model.refinement == "first_layer" else "iLRM"
