"""Figures of trained weights for `make report`: side-by-side renders, attention and iterative refinement, on
held-out procedural rooms, since real captures cannot be redistributed.
"""

import numpy as np
import pandas as pd
import torch

from ablations.record import COMPARED
from ilrm.data.batches import held_out_scenes
from ilrm.data.procedural.samples import example_scenes
from ilrm.evaluation.attention import self_attention, textured_tokens
from ilrm.evaluation.attention_matches import correspondence_errors
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.layers import layer_quality, median_scene
from ilrm.export.comparison import Comparison, stages
from ilrm.export.demonstration import STEPS, room
from ilrm.presets import run_config
from ilrm.runs.records import RUNS
from ilrm.system.leftovers import temporary_folder
from ilrm.weights.state import Weights, read_weights
from reports.figures.attention_figures import (
    attention_figure,
    correspondence_figure,
    correspondence_table,
    cross_attention_figure,
)
from reports.figures.layer_figures import layer_animation, layer_curves, layer_strip, layer_table
from reports.figures.qualitative import arrays, draw, label_of, methods_of, rows
from reports.write import Writer

SMALL = "ilrm-small"
ROOMS = 16  # number of held-out scenes for ilrm-small
REFINED = 20  # refinement steps (iLRM_20)
SECONDS = 0.1  # seconds per animation frame


def pretrained(writer: Writer) -> None:
    """Write renders, attention maps and layer-by-layer results of ilrm-small on held-out scenes."""
    weights = read_weights(SMALL)
    model = weights.model
    scenes = list(example_scenes(weights.config.data, ROOMS))
    quality = layer_quality(model, scenes)
    shown = median_scene(scenes, quality)
    inputs = shown.batch.inputs
    queries = textured_tokens(inputs.images[0, 0], model.config.size_multiple)
    side_by_side(writer, "qualitative_rooms", {label_of(weights): weights}, scenes, REFINED)
    writer.figure("pictures/attention", attention_figure(model, inputs, queries))
    attention = self_attention(model, inputs, queries).numpy()  # [layers, queries, views, tokens]
    kept = {
        "queries": np.array(queries),
        "images": inputs.images[0].numpy(),
        "attention": attention,
    }
    writer.arrays("pictures/attention", kept)
    cross = cross_attention_figure(model, inputs, queries[0])
    writer.figure("pictures/cross_attention", cross)
    errors = correspondence_errors(model, scenes)
    writer.figure("pictures/correspondence", correspondence_figure(errors))
    notes = [
        f"{SMALL} on {ROOMS} held-out scenes: distance of the most attended token of every other view from "
        "the true correspondence given by ground-truth depth and poses; means with 95% intervals over "
        "scenes, without occluded points"
    ]
    writer.table("correspondence", correspondence_table(errors), notes, errors)
    writer.figure("pictures/layers", layer_strip(model, shown))
    writer.animation("pictures/layers", layer_animation(model, inputs), SECONDS)
    _curves(writer, "layers", {SMALL: quality}, ROOMS)


@torch.no_grad()
def quickstart(writer: Writer) -> None:
    """Write the picture that `ilrm demo` makes."""
    with temporary_folder(writer.folder / "room") as folder:
        reconstruction = room(folder / "photos").reconstruct(STEPS)
        scene = reconstruction.evaluation_scene
        plane = Baselines.of([scene]).plane
        shown = Comparison.of(scene.batch, plane, stages(reconstruction))
        writer.picture("pictures/quickstart", shown.draw())


def compare_baselines(writer: Writer) -> None:
    """Write the tiny scale's base model next to full attention and to a model with cross-attention in the
    first layer only, all trained in the same way, if they are recorded.
    """
    config = run_config("tiny")
    folders = [RUNS / run_config("tiny", **fields).name for fields in ({}, *COMPARED)]
    compared = [read_weights(folder) for folder in folders if folder.is_dir()]
    models = {label_of(weights): weights for weights in compared}
    scenes = list(held_out_scenes(config.data))
    side_by_side(writer, "qualitative_baselines", models, scenes)
    curves = {name: layer_quality(weights.model, scenes) for name, weights in models.items()}
    _curves(writer, "layers_baselines", curves, len(scenes))


def _curves(writer: Writer, name: str, tables: dict[str, pd.DataFrame], rooms: int) -> None:
    writer.figure(f"pictures/{name}_curves", layer_curves(tables))
    notes = [
        f"tokens of each layer decoded by the final head, on {rooms} held-out scenes; update: RMS change of "
        "the tokens relative to their RMS; means with 95% intervals over scenes"
    ]
    long = pd.concat([table.assign(model=model) for model, table in tables.items()])
    writer.table(name, layer_table(tables), notes, long)


def side_by_side(
    writer: Writer, name: str, models: dict[str, Weights], scenes: list, refined: int = 0
) -> None:
    """Write a side-by-side figure and its arrays."""
    figure_rows = rows(methods_of(models, refined), scenes)
    writer.figure(f"pictures/{name}", draw(figure_rows))
    writer.arrays(f"pictures/{name}", arrays(figure_rows))
