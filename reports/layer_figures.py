"""Iterative refinement as pictures: what each layer holds, quality and updates by layer (Figure 1)."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ilrm.evaluation import estimate
from ilrm.layerwise import layer_renderings
from ilrm.metrics import psnr
from ilrm.model import ILRM
from ilrm.pictures import depth_image, depth_limits
from ilrm.views import EvaluationScene
from reports import style

CELL = 1.3  # inches


def layer_strip(model: ILRM, scene: EvaluationScene, target: int | None = None) -> Figure:
    """A target view (by default the middle one) rendered from every layer's tokens, with PSNR, and its depth
    on the final layer's scale; ground truth last.
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
        panels[0, layer].set_title("initial" if layer == 0 else f"layer {layer}", fontsize=9)
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


def layer_curves(tables: dict[str, pd.DataFrame]) -> Figure:
    """PSNR of each layer's scene and relative size of each layer's update, mean and 95% interval over scenes;
    `tables`: {name of the model: `layer_quality`}.
    """
    style.use()
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
    colors = (style.COLORS["model"], style.COLORS["base"], style.COLORS["nearest_view"])
    for (name, table), color in zip(tables.items(), colors, strict=False):
        for axes, value in zip(panels, ("psnr", "update"), strict=True):
            known = table.dropna(subset=value)
            layers = sorted(known.layer.unique())
            found = [estimate(known[known.layer == layer][value].to_numpy()) for layer in layers]
            middle = [e.mean for e in found]
            axes.plot(layers, middle, "o-", ms=4, color=color, label=name)
            low, high = [e.low for e in found], [e.high for e in found]
            axes.fill_between(layers, low, high, color=color, alpha=0.2, lw=0)
            axes.set_xticks(layers)
    panels[0].set(xlabel="layer decoded by the final head", ylabel="PSNR (dB)")
    panels[1].set(xlabel="layer", ylabel="update / size of the tokens")
    panels[1].set_ylim(bottom=0)
    panels[0].legend(fontsize=8)
    plt.close(figure)
    return figure
