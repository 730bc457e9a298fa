"""Iterative refinement layer by layer (Figure 1): the tokens of each layer, decoded by the final head."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ilrm import metrics
from ilrm.gaussians import Gaussians
from ilrm.model import ILRM
from ilrm.rendering import Rendering, render
from ilrm.views import Batch, EvaluationScene, Views


@torch.no_grad()
def layer_gaussians(model: ILRM, inputs: Views) -> list[Gaussians]:
    """Gaussians after each layer, starting with those of V^(0), from one forward pass."""
    return [model.decode(tokens, inputs) for tokens in _encode(model, inputs)]


@torch.no_grad()
def layer_renderings(model: ILRM, batch: Batch, depth: bool = True) -> list[Rendering]:
    """Target views rendered after each layer, starting with V^(0), from one forward pass."""
    return [
        render(gaussians, batch.targets.cameras, depth=depth)
        for gaussians in layer_gaussians(model, batch.inputs)
    ]


def layer_quality(model: ILRM, scenes: Iterable[EvaluationScene]) -> pd.DataFrame:
    """One row per scene and layer (layer 0: the initial tokens).

    Columns: scene, layer, psnr (dB, mean over the target views), and update (RMS of the layer's change to the
    tokens relative to the RMS of the tokens; missing for layer 0).
    """
    device = next(model.parameters()).device
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        batch = scene.batch.to(device)
        layers = _encode(model, batch.inputs)
        for layer, tokens in enumerate(layers):
            with torch.no_grad():
                images = render(model.decode(tokens, batch.inputs), batch.targets.cameras).images
            row = {"scene": scene.key, "layer": layer, "psnr": _psnr(images, batch)}
            if layer:
                change = tokens - layers[layer - 1]
                row["update"] = float(change.square().mean().sqrt() / tokens.square().mean().sqrt())
            rows.append(row)
    return pd.DataFrame(rows)


def median_scene(scenes: Sequence[EvaluationScene], quality: pd.DataFrame) -> EvaluationScene:
    """The scene with the median PSNR after the last layer, according to `layer_quality`."""
    last = quality[quality.layer == quality.layer.max()].sort_values("psnr")
    key = last.scene.iloc[len(last) // 2]
    return next(scene for scene in scenes if scene.key == key)


@torch.no_grad()
def _encode(model: ILRM, inputs: Views) -> list[Tensor]:
    was_training = model.training
    model.eval()
    layers = model.encode_layers(inputs)
    model.train(was_training)
    return layers


def _psnr(images: Tensor, batch: Batch) -> float:
    return float(metrics.psnr(images.flatten(0, 1), batch.targets.images.flatten(0, 1)).mean())
