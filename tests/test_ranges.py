"""Ranges: every number of a configuration has one, and what is outside is a line that names the field."""

import dataclasses
import math
import types
import typing

import pytest

from ilrm.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainConfig
from ilrm.errors import ConfigError
from ilrm.presets import PRESETS, check_field, parameter_names, run_config
from ilrm.ranges import RANGES
from ilrm.recipes import RECIPES, stages


def kind(name):
    """int, float or tuple for a field of numbers, else None."""
    hint = typing.get_type_hints(parameter_names()[name])[name]
    if typing.get_origin(hint) is types.UnionType:
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is tuple:
        return tuple
    return hint if hint in (int, float) else None


NUMBERS = [name for name in parameter_names() if kind(name)]
IMPOSSIBLE = [
    math.nan,
    math.inf,
    -math.inf,
    "nan",
    "inf",
    "1e400",
    -(10**24),
    10**24,
    10**400,
    10**5000,
]
IMPOSSIBLE += [True, "", "six", "9" * 5000, [], {}, "[1, 2, 3]", b"1", 1j]


def test_every_number_has_a_range():
    assert set(NUMBERS) == set(RANGES)


@pytest.mark.parametrize("value", IMPOSSIBLE, ids=lambda v: str(type(v).__name__))
@pytest.mark.parametrize("name", NUMBERS)
def test_impossible_values_are_one_line_that_names_the_field(name, value):
    for number in ([value, value],) if kind(name) is tuple else (value,):
        with pytest.raises(ConfigError, match=name) as caught:
            run_config("tiny", **{name: number})
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
        with pytest.raises(ConfigError, match=name):
            check_field(name, number)


@pytest.mark.parametrize("name", ["seed", "procedural_seed"])
def test_seeds_are_what_numpy_and_torch_take(name):
    for seed in (0, 1, 2**32 - 1):
        assert run_config("tiny", **{name: seed})
    for seed in (-1, 2**32, "-1", 1.0, "1.0"):
        with pytest.raises(ConfigError, match=name):
            run_config("tiny", **{name: seed})


def test_parts_made_by_themselves_are_checked():
    for part, name in (
        (ModelConfig, "scale_max"),
        (DataConfig, "gap_steps"),
        (TrainConfig, "save_minutes"),
        (EvaluationConfig, "camera_noise"),
    ):
        for value in (math.nan, math.inf, -math.inf, 10**400):
            with pytest.raises(ConfigError, match=name):
                part(**{name: value})
    stored = run_config("tiny").to_dict()
    stored["train"]["lr"] = math.nan
    with pytest.raises(ConfigError, match="lr=nan"):
        RunConfig.from_dict(stored)


def test_windows_have_an_order_and_text_has_no_null():
    with pytest.raises(ConfigError, match=r"gap_end=\(30, 5\): give \(min, max\)"):
        run_config("tiny", gap_end=[30, 5])
    with pytest.raises(ConfigError, match="root=.*null"):
        run_config("tiny", root="a\0b")


def test_presets_and_recipes_are_within_the_ranges():
    assert all(run_config(scale) for scale in PRESETS)
    assert all(stages(name) for name in RECIPES)
    defaults = {
        f.name: f.default for part in (ModelConfig, TrainConfig) for f in dataclasses.fields(part)
    }
    assert all(check_field(name, value) is None for name, value in defaults.items())
