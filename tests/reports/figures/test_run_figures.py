"""Figures of a run: rows chosen by rule, evaluated as it was, nothing left open in pyplot."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt

from ilrm.data.batches import held_out_scenes
from ilrm.evaluation.scoring import predict
from ilrm.evaluation.summary import scene_means
from ilrm.metrics import psnr
from reports.figures import run_figures as figures


def test_learning_curve_shows_the_run_the_base_and_the_rivals(smoke_run):
    figure = figures.learning_curve(smoke_run, base=smoke_run)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["this run", "base model"] and len(labels) == 6
    assert not plt.get_fignums()


def test_renders_are_of_the_best_and_the_worst_scene(smoke_run):
    figure = figures.renders(smoke_run)
    quality = scene_means(smoke_run.per_view, "model", "psnr")
    columns = len(figure.axes) // len(quality)
    captions = [figure.axes[row * columns + 1].get_xlabel() for row in range(len(quality))]
    assert captions[0].startswith(quality.idxmax()) and captions[-1].startswith(quality.idxmin())


def test_a_run_evaluated_otherwise_is_shown_as_evaluated(smoke_run):
    """Figure 1's run: the PSNR below the render is that of the initial tokens."""
    config = smoke_run.config
    early = replace(config, evaluation=replace(config.evaluation, decoded_layer=0))
    run = SimpleNamespace(config=early, per_view=smoke_run.per_view, model=smoke_run.model)
    title = "iLRM"
    shown, usual = (
        next(axes.get_xlabel() for axes in figures.renders(r).axes if axes.get_title() == title)
        for r in (run, smoke_run)
    )
    scene = held_out_scenes(config.data).load(
        scene_means(smoke_run.per_view, "model", "psnr").idxmax()
    )
    image = predict(smoke_run.model(), scene.batch, layer=0).images[0, len(scene.frames) // 2]
    truth = scene.batch.targets.images[0, len(scene.frames) // 2]
    assert shown == f"{psnr(image[None].clamp(0, 1), truth[None]).item():.1f} dB" != usual
