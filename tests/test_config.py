"""Configurations: validation, names of errors, hashing, presets and flat parameters."""

import dataclasses
import hashlib
import typing

import pytest

from ilrm.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainConfig
from ilrm.errors import ConfigError
from ilrm.presets import PRESETS, model_config, parameter_names, run_config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 100, "heads": 12}, "multiple of heads"),
        ({"layers": 0}, "layers=0"),
        ({"layers": "6"}, "layers='6'"),
        ({"layers": True}, "layers=True"),
        ({"minibatch": 3}, "one of 1, 2, 4"),
        ({"refinement": "every"}, "nearest: every_layer"),
        ({"viewpoint_scale": "F", "image_scale": "H"}, "finer"),
        ({"refinement": "first_layer", "self_attention": False}, "self_attention=True"),
        ({"cross_attention": "none"}, "initial_tokens='image'"),
        ({"cross_attention": "group", "minibatch": 2}, "cross_attention='view'"),
        ({"near": 2.0, "far": 1.0}, "near < far"),
        ({"distance": "log"}, "near > 0"),
        ({"uplift": 0}, "uplift=0"),
    ],
)
def test_contradictions_are_refused_with_the_field_named(fields, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**fields)


def test_uplift_follows_the_resolutions():
    assert ModelConfig().queries_per_token == 2
    assert ModelConfig(viewpoint_scale="F").queries_per_token == 1
    assert ModelConfig(image_scale="H").queries_per_token == 1
    assert ModelConfig(uplift=4).queries_per_token == 4


def test_block_kinds_of_the_ablations():
    assert ModelConfig(layers=2).block_kinds == ("cross", "self", "cross", "self")
    assert ModelConfig(layers=2, refinement="first_layer").block_kinds == ("cross", *["self"] * 3)
    assert ModelConfig(layers=2, self_attention=False).block_kinds == ("cross",) * 4
    full = ModelConfig(
        layers=2, cross_attention="none", initial_tokens="image", viewpoint_scale="F"
    )
    assert full.block_kinds == ("self",) * 4


def test_sizes_that_have_no_whole_patches_are_refused_with_the_nearest_size():
    with pytest.raises(ConfigError, match="image_height=540 .* use 544"):
        RunConfig(data=DataConfig(image_height=540, image_width=960))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_height": 0}, "image_height=0 .* use 4"),
        ({"minibatch": 4, "image_height": 28}, "minibatch=4 cannot divide 7x8 .* multiples of 8"),
        ({"minibatch": 2, "image_width": 28}, "minibatch=2 cannot divide 8x7"),
        ({"lr": -1}, "lr=-1.0: give a number above 0"),
        ({"matrix_lr": 0}, "matrix_lr"),
        ({"eval_every": 0}, "eval_every=0"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"gap_start": [5]}, "gap_start=.*give 2 integers"),
        ({"steps": 0}, "steps=0"),
        ({"warmup": 5_000}, "warmup=5000"),
        ({"context_views": 1}, "at least 2 input views"),
    ],
)
def test_runs_that_cannot_work_stop_before_any_work(fields, message):
    with pytest.raises(ConfigError, match=message):
        run_config("tiny", **fields)


def test_minibatch_grids_that_can_be_divided_pass():
    assert run_config("tiny", minibatch=2, image_height=24).model.minibatch == 2
    random = {"minibatch": 4, "minibatch_pattern": "random", "image_height": 24}
    assert run_config("tiny", **random).model.minibatch == 4


def test_run_config_survives_a_round_trip_through_json_types():
    config = run_config("tiny", layers=6, gap_start=(3, 5))
    values = config.to_dict()
    values["data"]["gap_start"] = [3, 5]
    assert RunConfig.from_dict(values) == config
    assert RunConfig.from_dict(values).hash == config.hash


def test_the_hash_follows_every_field():
    base = run_config("tiny")
    assert run_config("tiny").hash == base.hash
    for other in ({"layers": 6}, {"seed": 1}, {"flip": False}):
        assert run_config("tiny", **other).hash != base.hash


def test_the_hash_names_what_differs_from_the_defaults():
    """Whatever the defaults of other fields: adding one must not rename the runs that are recorded."""
    text = '{"data": {}, "model": {"layers": 6}, "scale": "paper", "train": {}}'
    expected = hashlib.sha256(text.encode()).hexdigest()[:10]
    assert run_config("paper", layers=6).hash == expected


def test_flat_names_are_unique_and_presets_use_no_other():
    fields = [
        f.name
        for part in (ModelConfig, DataConfig, TrainConfig, EvaluationConfig)
        for f in dataclasses.fields(part)
    ]
    assert len(fields) == len(set(fields)) == len(parameter_names())
    for preset in PRESETS.values():
        assert set(preset) <= set(fields)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="'layer' .* did you mean 'layers'"):
        run_config("tiny", layer=6)
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        run_config("tny")
    with pytest.raises(ConfigError, match="did you mean 'minibatch'"):
        model_config("tiny", mini_batch=2)


def test_text_is_read_as_the_type_of_the_field():
    texts = {"lr": "1e-3", "flip": "false", "gap_end": "[3, 5]", "uplift": "1", "layers": "6"}
    config = run_config("tiny", **texts, minibatch="4")
    assert (config.train.lr, config.data.flip, config.data.gap_end) == (1e-3, False, (3, 5))
    assert (config.model.uplift, config.model.layers, config.model.minibatch) == (1, 6, 4)
    assert run_config("tiny", lr=1).train.lr == 1.0
    with pytest.raises(ConfigError, match="layers='six'"):
        run_config("tiny", layers="six")


def test_types_of_fields_are_read_once(monkeypatch):
    """Reports make thousands of configurations."""
    run_config("tiny")
    monkeypatch.setattr(typing, "get_type_hints", lambda *_: pytest.fail("read again"))
    assert run_config("tiny", layers=6).model.layers == 6


def test_paper_preset_is_the_published_recipe():
    config = run_config("paper")
    m, d, t = config.model, config.data, config.train
    assert (m.layers, m.width, m.heads, m.patch, m.viewpoint_scale) == (12, 768, 12, 8, "H")
    assert (m.far, m.scale_bias, m.scale_max, m.opacity_bias) == (500.0, -6.9, -1.2, -2.0)
    assert (d.image_height, d.context_views, d.target_views) == (256, 4, 4)
    assert (t.optimizer, t.lr, t.warmup, t.weight_decay, t.steps) == (
        "adamw",
        2e-4,
        2500,
        0.05,
        100_000,
    )
    assert (t.perceptual, t.perceptual_weight) == ("vgg19", 0.5)


def test_evaluation_fields_leave_the_training_run_and_its_name_alone():
    base, noisy = run_config("tiny"), run_config("tiny", camera_noise=0.01)
    assert noisy.training == base and noisy.name != base.name
    assert RunConfig.from_dict(noisy.to_dict()) == noisy
    stored = base.to_dict()
    del stored["evaluation"]  # runs that were recorded before there was such a part
    assert RunConfig.from_dict(stored) == base and base.hash == "b8cda7aa1d"
    assert run_config("tiny", input_views=8).evaluation_data.context_views == 8
    for fields, words in (
        ({"input_views": 1}, "at least 2 input views"),
        ({"camera_noise": -1.0}, "0 or more"),
        ({"camera_noise": float("nan")}, "finite"),
        ({"decoded_layer": 4}, "decoded_layer=4: give 0 to layers=3"),
    ):
        with pytest.raises(ConfigError, match=words):
            run_config("tiny", **fields)
