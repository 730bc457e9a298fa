"""Figures of iterative refinement (Figure 1): renders, quality and token updates by layer."""

import itertools

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from ilrm.evaluation.layers import layer_gaussians, layer_renderings
from ilrm.evaluation.summary import estimate
from ilrm.export.pictures import depth_image, depth_limits, to_image
from ilrm.export.video import smooth_path
from ilrm.metrics import psnr
from ilrm.model import ILRM
from ilrm.reconstruction.predict import larger
from ilrm.rendering import render
from ilrm.views import EvaluationScene, Views
from reports.figures import style

CELL = 1.3  # inches
SIDE = 160  # pixels of the longer side of an animation's renders
HOLD = 12  # pictures per layer
BAND = 20  # height of the caption in pixels


def layer_strip(model: ILRM, scene: EvaluationScene, target: int | None = None) -> Figure:
    """A target view (by default the middle one) rendered from the tokens of every layer, with PSNR, and its
    depth, coloured on the scale of the final layer. The last column is the ground truth.
    """
    style.use()
    target = len(scene.frames) // 2 if target is None else target
    renderings = layer_renderings(model, scene.batch)
    truth = scene.batch.targets.images[0, target]
    last = renderings[-1].depths
    assert last is not None
    limits = depth_limits(last[0, target])
    columns = len(renderings) + 1
    figure, panels = plt.subplots(
        2, columns, figsize=(CELL * columns, 2 * CELL + 0.5), squeeze=False, layout="constrained"
    )
    for layer, rendering in enumerate(renderings):
        image = rendering.images[0, target].clamp(0, 1)
        panels[0, layer].imshow(image.permute(1, 2, 0).cpu().numpy())
        panels[0, layer].set_title(_name(layer), fontsize=9)
        panels[0, layer].set_xlabel(f"{psnr(image[None], truth[None]).item():.1f} dB", fontsize=9)
        assert rendering.depths is not None
        panels[1, layer].imshow(depth_image(rendering.depths[0, target, 0], limits))
    panels[0, -1].imshow(truth.permute(1, 2, 0).cpu().numpy())
    panels[0, -1].set_title("ground truth", fontsize=9)
    if scene.depths is not None:
        panels[1, -1].imshow(depth_image(scene.depths[target], limits))
    else:
        panels[1, -1].set_axis_off()
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    plt.close(figure)
    return figure


def layer_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The numbers of `layer_curves`, one row per model and layer: mean and 95% interval over scenes."""
    rows = []
    for name, table in tables.items():
        for layer, part in table.groupby("layer"):
            quality = estimate(part.psnr.to_numpy())
            row = {"model": name, "layer": layer, "PSNR (dB)": quality.text(2)}
            update = part["update"].dropna().to_numpy()
            rows.append(row | {"update": estimate(update).text(3) if len(update) else "-"})
    return pd.DataFrame(rows)


@torch.no_grad()
def layer_animation(model: ILRM, inputs: Views) -> list[Image.Image]:
    """Frames of an animation that flies along the input cameras, back and forth, once per layer: render and
    depth, coloured on the scale of the final layer.
    """
    path = smooth_path(larger(inputs.cameras, SIDE), HOLD)
    renderings = [render(scene, path, depth=True) for scene in layer_gaussians(model, inputs)]
    assert renderings[-1].depths is not None
    limits = depth_limits(renderings[-1].depths)
    pictures = []
    for layer, rendering in enumerate(renderings):
        assert rendering.depths is not None
        pair = zip(rendering.images[0], rendering.depths[0, :, 0], strict=True)
        flight = [
            _labelled([to_image(image), depth_image(depth, limits)], _name(layer))
            for image, depth in pair
        ]
        pictures += flight[::-1] if layer % 2 else flight
    return pictures


def _labelled(images: list[Image.Image], text: str) -> Image.Image:
    """Images side by side under a caption."""
    width, height = images[0].size
    sheet = Image.new("RGB", (len(images) * width, height + BAND), (255, 255, 255))
    for i, image in enumerate(images):
        sheet.paste(image, (i * width, BAND))
    ImageDraw.Draw(sheet).text((4, 2), text, fill=(0, 0, 0), font=ImageFont.load_default(BAND - 6))
    return sheet


def _name(layer: int) -> str:
    return "initial" if layer == 0 else f"layer {layer}"


def layer_curves(tables: dict[str, pd.DataFrame]) -> Figure:
    """PSNR after each layer and relative size of its token update: mean and 95% interval over scenes.

    `tables`: `layer_quality` by name of the model.
    """
    style.use()
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
    colors = (style.COLORS["model"], style.COLORS["base"], style.COLORS["nearest_view"])
    for (name, table), color in zip(tables.items(), itertools.cycle(colors), strict=False):
        for axes, value in zip(panels, ("psnr", "update"), strict=True):
            known = table.dropna(subset=value)
            layers = sorted(known.layer.unique())
            means = [estimate(known[known.layer == layer][value].to_numpy()) for layer in layers]
            middle = [e.mean for e in means]
            axes.plot(layers, middle, "o-", ms=4, color=color, label=style.plain(name))
            low, high = [e.low for e in means], [e.high for e in means]
            axes.fill_between(layers, low, high, color=color, alpha=0.2, lw=0)
            axes.set_xticks(layers)
    panels[0].set(xlabel="layer decoded by the final head", ylabel="PSNR (dB)")
    panels[1].set(xlabel="layer", ylabel="token update, relative (RMS)")
    panels[1].set_ylim(bottom=0)
    panels[0].legend(fontsize=8)
    plt.close(figure)
    return figure
