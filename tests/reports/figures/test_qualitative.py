"""Side by side: rows by rule, panels that show what their titles say, arrays of what is drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ilrm.data.batches import dataset_root, held_out_scenes
from ilrm.errors import ConfigError
from ilrm.evaluation.scoring import evaluate, predict
from ilrm.evaluation.summary import scene_means
from ilrm.metrics import psnr
from ilrm.reconstruction.optimization import refine
from ilrm.rendering import render
from ilrm.weights.state import read_weights
from reports.figures.qualitative import arrays, draw, label_of, methods_of, rows
from reports.qualitative import _check_fit, main


@pytest.fixture(scope="module")
def weights(smoke_run):
    return read_weights(smoke_run.folder)


@pytest.fixture(scope="module")
def scenes(smoke_run):
    return list(held_out_scenes(smoke_run.config.data))


@pytest.fixture(scope="module")
def found(weights, scenes):
    return rows(methods_of({"iLRM": weights}, 2), scenes)


def test_rows_are_the_best_and_the_worst_scene(found, weights, scenes):
    ranked = scene_means(evaluate(weights.model, scenes).per_view, "model", "psnr").sort_values()
    shown = [row.panels["ground truth"].caption.split(",")[0] for row in found]
    assert (shown[0], shown[-1]) == (ranked.index[-1], ranked.index[0])
    assert [row.label for row in found] == ["best of 2", "worst of 2"]


def test_one_scene_is_one_row_and_three_are_three(weights, scenes):
    methods = methods_of({"iLRM": weights})
    assert [row.label for row in rows(methods, scenes[:1])] == ["best of 1"]
    three = rows(methods, [*scenes, scenes[0]])
    assert [row.label.split()[0] for row in three] == ["best", "median", "worst"]


def test_panels_show_what_they_say(found, weights, scenes):
    scene = next(s for s in scenes if found[0].panels["ground truth"].caption.startswith(s.key))
    view = len(scene.frames) // 2
    truth = scene.batch.targets.images[0, view]
    image = predict(weights.model, scene.batch).images[0, view].clamp(0, 1)
    panels = found[0].panels
    np.testing.assert_array_equal(
        panels["iLRM"].image, (255 * image).round().byte().permute(1, 2, 0)
    )
    assert panels["iLRM"].caption == f"{psnr(image[None], truth[None]).item():.1f} dB"
    error = (255 * (4 * (image - truth).abs()).clamp(0, 1)).round().byte().permute(1, 2, 0)
    np.testing.assert_array_equal(panels["error x 4\niLRM"].image, error)
    with torch.no_grad():
        gaussians = weights.model(scene.batch.inputs)
    refined = refine(gaussians, scene.batch.inputs, 2)
    image = render(refined, scene.batch.targets.cameras).images[0, view].clamp(0, 1).detach()
    np.testing.assert_allclose(
        panels["iLRM_2"].image / 255.0, image.permute(1, 2, 0).numpy(), atol=0.6 / 255
    )
    assert {"nearest view", "depth\niLRM", "depth\niLRM_2", "true depth"} <= panels.keys()


def test_the_figure_has_every_panel_once(found):
    figure = draw(found)
    assert len(figure.axes) == len(found) * len(found[0].panels)
    assert [a.get_title() for a in figure.axes[: len(found[0].panels)]] == list(found[0].panels)
    kept = arrays(found)
    assert len(kept) == len(figure.axes)
    assert "best of 2/error x 4 iLRM" in kept and all(v.dtype == np.uint8 for v in kept.values())


def test_the_command_line_on_a_data_set(smoke_run, tmp_path, capsys):
    root = dataset_root(smoke_run.config.data)
    arguments = ["--weights", smoke_run.folder, "--beside", smoke_run.folder, "--out", tmp_path]
    arguments += ["--data", root, "--protocol", "re10k", "--views", 2]
    arguments += ["--index", root / "evaluation_index_2v.json"]
    assert main([str(a) for a in arguments]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "qualitative.png", "qualitative.pdf", "qualitative.npz",
    }  # fmt: skip
    kept = np.load(tmp_path / "qualitative.npz")
    first, second = (kept[f"best of 2/{name}"] for name in ("iLRM", "iLRM (2)"))
    np.testing.assert_array_equal(first, second)  # the same weights twice
    printed = capsys.readouterr().out
    assert f"iLRM: {smoke_run.folder}" in printed and f"iLRM (2): {smoke_run.folder}" in printed
    file = tmp_path / "file"
    file.write_text("mine")
    for given, message in (
        (["--refine", -1], "refine=-1"),
        (["--views", 0], "at least 2 input views"),
        (["--out", file], "is a file: give a folder"),
        (["--size", "22x22"], "multiples of 4 pixels"),
    ):
        assert main([str(a) for a in (*arguments, *given)]) == 2
        assert message in capsys.readouterr().err
    rooms = ["--weights", smoke_run.folder, "--out", tmp_path, "--index", "index.json"]
    assert main([str(a) for a in rooms]) == 2
    assert "need --data" in capsys.readouterr().err


def test_weights_that_cannot_take_the_images_are_named(weights, scenes):
    model = replace(weights.config.model, patch=16)
    other = replace(weights, config=replace(weights.config, model=model), source="coarse")
    scene = scenes[0]
    _check_fit({"iLRM": weights, "iLRM (2)": other}, scene)  # 32 is a multiple of 32
    model, data = replace(model, patch=12), weights.config.data
    data = replace(data, image_height=24, image_width=24)
    other = replace(other, config=replace(weights.config, model=model, data=data))
    with pytest.raises(
        ConfigError, match="coarse: needs images in multiples of 24 pixels, not 32x32"
    ):
        _check_fit({"iLRM": weights, "iLRM (2)": other}, scene)
    data = replace(weights.config.data, camera_scale="world")
    other = replace(weights, config=replace(weights.config, data=data), source="worldly")
    with pytest.raises(ConfigError, match="worldly: was trained with another camera_scale"):
        _check_fit({"iLRM": weights, "iLRM (2)": other}, scene)


def test_models_are_named_by_what_they_lack(weights):
    def named(**fields):
        config = replace(weights.config, model=replace(weights.config.model, **fields))
        return label_of(replace(weights, config=config))

    assert named() == "iLRM"
    assert named(refinement="first_layer") == "images read once"
    assert named(self_attention=False) == "no self-attention"
    assert named(cross_attention="none", initial_tokens="image") == "full attention"
