"""The strip shows every layer's render with its PSNR; the curves are the means over scenes."""

import pytest

from ilrm.data.scenes import held_out_scenes
from ilrm.layerwise import layer_quality
from reports.layer_figures import layer_curves, layer_strip


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
