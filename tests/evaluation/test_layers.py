"""Every layer's scene is what evaluation decodes for that layer; updates are relative changes of tokens."""

import pytest
import torch

from ilrm.config import EvaluationConfig
from ilrm.data.batches import held_out_scenes
from ilrm.evaluation.layers import layer_quality, layer_renderings
from ilrm.evaluation.scoring import evaluate, predict
from ilrm.evaluation.summary import scene_means
from ilrm.model import ILRM
from ilrm.presets import run_config


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ILRM(run_config("smoke", layers=2).model).eval()


@pytest.fixture(scope="module")
def scenes(smoke_run):
    return list(held_out_scenes(smoke_run.config.data))


def test_renderings_are_those_of_prediction(model, scenes):
    found = layer_renderings(model, scenes[0].batch)
    assert len(found) == 3
    for layer, rendering in enumerate(found):
        expected = predict(model, scenes[0].batch, depth=True, layer=layer)
        torch.testing.assert_close(rendering.images, expected.images)
        torch.testing.assert_close(rendering.depths, expected.depths)


def test_quality_is_what_evaluation_measures(model, scenes):
    table = layer_quality(model, scenes)
    for layer in range(3):
        rows = evaluate(model, scenes, EvaluationConfig(decoded_layer=layer))
        expected = scene_means(rows.per_view, "model", "psnr")
        ours = table[table.layer == layer].set_index("scene").psnr.sort_index()
        assert ours.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-4)


def test_updates_are_relative_changes(model, scenes):
    table = layer_quality(model, scenes[:1]).set_index("layer")
    with torch.no_grad():
        layers = model.encode_layers(scenes[0].batch.inputs)
    for layer in (1, 2):
        change = (layers[layer] - layers[layer - 1]).norm() / layers[layer].norm()
        assert table["update"][layer] == pytest.approx(float(change), rel=1e-5)
    assert table["update"].isna().tolist() == [True, False, False]
