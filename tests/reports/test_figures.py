"""Figures: rows chosen by rule, every panel drawn, nothing left open in pyplot."""

import matplotlib.pyplot as plt
import numpy as np

from ilrm.evaluation import scene_means
from reports import figures


def test_scenes_are_chosen_by_rank(smoke_run):
    chosen = figures.representative_scenes(smoke_run)
    psnr = scene_means(smoke_run.per_view, "model", "psnr")
    assert psnr[chosen["best"]] == psnr.max() and psnr[chosen["worst"]] == psnr.min()


def test_learning_curve_shows_the_run_the_base_and_both_baselines(smoke_run):
    figure = figures.learning_curve(smoke_run, base=smoke_run)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["this run", "base model"] and len(labels) == 4
    assert not plt.get_fignums()


def test_renders_have_a_panel_for_each_view_truth_and_error(smoke_run):
    figure = figures.renders(smoke_run)
    titles = [ax.get_title() for ax in figure.axes[: len(figure.axes) // 3]]
    expected = ["ground truth", "iLRM", "nearest view", "error x 4", "depth", "true depth"]
    assert titles == [f"input {v}" for v in range(1, 5)] + expected
    for ax in figure.axes:
        assert np.isfinite(ax.images[0].get_array()).all()
