"""The strip shows every layer's render with its PSNR; the curves are the means over scenes."""

import numpy as np
import pytest

from ilrm.data.batches import held_out_scenes
from ilrm.evaluation.layers import layer_gaussians, layer_quality
from ilrm.reconstruction.predict import larger
from ilrm.rendering import render
from reports.figures.layer_figures import (
    BAND,
    HOLD,
    SIDE,
    layer_animation,
    layer_curves,
    layer_strip,
)


def test_a_strip_from_the_initial_tokens_to_the_truth(smoke_run):
    scene = next(iter(held_out_scenes(smoke_run.config.data)))
    figure = layer_strip(smoke_run.model(), scene, 0)
    top = figure.axes[: len(figure.axes) // 2]
    assert [axes.get_title() for axes in top] == ["initial", "layer 1", "ground truth"]
    rows = smoke_run.per_view
    row = rows[
        (rows.method == "model") & (rows.scene == scene.key) & (rows.frame == scene.frames[0])
    ]
    assert top[1].get_xlabel() == f"{row.psnr.item():.1f} dB"


def test_curves_are_means_over_scenes(smoke_run):
    table = layer_quality(smoke_run.model(), held_out_scenes(smoke_run.config.data))
    better = table.assign(psnr=table.psnr + 1)
    figure = layer_curves({"one": table, "two": better})
    quality, updates = figure.axes
    for line, shown in zip(quality.lines, (table, better), strict=True):
        assert line.get_ydata().tolist() == pytest.approx(
            [shown[shown.layer == layer].psnr.mean() for layer in (0, 1)]
        )
    assert len(updates.lines[0].get_ydata()) == 1


def test_an_animation_flies_through_every_layer(smoke_run):
    scene = next(iter(held_out_scenes(smoke_run.config.data)))
    model, inputs = smoke_run.model(), scene.batch.inputs
    pictures = layer_animation(model, inputs)
    assert len(pictures) == 2 * HOLD and {p.size for p in pictures} == {(2 * SIDE, SIDE + BAND)}
    cameras = larger(inputs.cameras, SIDE)
    gaussians = layer_gaussians(model, inputs)
    # there with the initial tokens' scene, back with the last layer's: both ends at the first input
    for picture, scene_of_layer in ((pictures[0], gaussians[0]), (pictures[-1], gaussians[1])):
        image = render(scene_of_layer, cameras[:, :1]).images[0, 0].detach()
        shown = np.asarray(picture.crop((0, BAND, SIDE, SIDE + BAND))) / 255
        np.testing.assert_allclose(shown, image.clamp(0, 1).permute(1, 2, 0), atol=0.02)
