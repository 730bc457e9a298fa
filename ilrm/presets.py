"""Presets at four scales, and configurations from flat parameters.

A preset changes sizes, never code paths. Values that differ from the dataclass defaults (the paper's recipe)
have their reason beside them.
"""

import dataclasses
import types
import typing
from typing import Any

from ilrm.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainConfig
from ilrm.errors import ConfigError
from ilrm.fields import annotations, check_names, check_type, shown
from ilrm.ranges import check_range

# Needed for procedural rooms at low resolution; measurements: docs/regime.md and docs/tiny-scale.md.
_ROOMS: dict[str, Any] = {
    "procedural_path": "arc",  # wide baselines; on walks a single plane is nearly as good as geometry
    "procedural_depths": True,
    "depth_weight": 0.05,  # finds geometry within minutes; falls to zero, 0 switches it off
    "near": 0.4,  # normalised units; depths in the rooms: 1st percentile 0.46, median 2.4, 99th 6.9
    "far": 15.0,  # log distances start at the geometric mean of near and far, 2.4
    "distance": "log",
    "scale_unit": "footprint",  # scales in viewpoint pixels: no holes, and independent of the size of a room
    "scale_bias": -0.9,  # start at 0.4 pixels: larger ones lower the loss by blur, not by geometry
    "scale_max": -0.3,  # 0.74 pixels
    "opacity_bias": 1.0,  # start at 0.73: the front surface dominates, so depth has a gradient
    "init": "local",  # with "normal", minutes are too short for attention to find its targets
    "optimizer": "muon",  # fewer steps to the same PSNR than AdamW
    "perceptual": "none",  # a VGG pass costs ten model passes at this size, and SSIM gave no gain
    "skip_norm": 100.0,
    "precision": "fp32",
    "checkpointing": False,  # activations are small
    "target_views": 6,  # rendering is cheap beside the encoder
}

_TINY: dict[str, Any] = {
    **_ROOMS,
    "layers": 3,
    "width": 64,  # at least the 48 colour values under a token, as in the paper (768 of 768)
    "heads": 4,
    "patch": 2,  # 64 viewpoint tokens per view of 32 x 32
    "initial_grid": 8,
    "image_height": 32,
    "image_width": 32,
    "procedural_train": 1_200,
    "procedural_frames": 24,
    "gap_start": (12, 23),  # frames; the nearest view reaches 18 dB with a gap of 23
    "gap_end": (12, 23),
    "gap_steps": 1,
    "steps": 3_000,
    "batch": 4,  # more, noisier steps beat fewer, cleaner ones in the same time
    "lr": 2e-3,
    "matrix_lr": 4e-3,
    "warmup": 50,
    "eval_every": 100,
    "save_minutes": 1.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Seconds; used by the tests.
    "smoke": {
        **_TINY,
        "layers": 1,
        "procedural_train": 4,
        "procedural_test": 2,
        "steps": 4,
        "batch": 2,
        "warmup": 1,
        "eval_every": 2,
    },
    # Minutes on two CPU cores.
    "tiny": _TINY,
    # Two minutes on an H100, where a step takes 48 ms; no run has been evaluated yet.
    "small": {
        **_ROOMS,
        "layers": 6,
        "width": 384,
        "heads": 6,
        "patch": 4,  # 64 viewpoint tokens per view of 64 x 64; 192 colour values under each
        "initial_grid": 8,
        "image_height": 64,
        "image_width": 64,
        "procedural_train": 4_000,
        "procedural_frames": 24,
        "gap_start": (12, 23),
        "gap_end": (12, 23),
        "gap_steps": 1,
        "steps": 2_000,
        "batch": 32,
        "lr": 1e-3,
        "matrix_lr": 2e-3,
        "warmup": 100,
        "eval_every": 200,
        "precision": "bf16",
    },
    # Section 4: RE10K, (4, H, F), the recipe of every ablation.
    "paper": {},
}

SCALES = tuple(PRESETS)
_PARTS = (ModelConfig, DataConfig, TrainConfig, EvaluationConfig)


def parameter_names() -> dict[str, type]:
    """Every flat parameter name, with the configuration class that it is a field of."""
    return {f.name: part for part in _PARTS for f in dataclasses.fields(part)}


def model_config(scale: str = "paper", **fields: Any) -> ModelConfig:
    """The model of a preset with some fields replaced. Raises ConfigError on unknown names or values."""
    check_names(fields, [f.name for f in dataclasses.fields(ModelConfig)], "model config")
    return run_config(scale, **fields).model


def run_config(scale: str = "paper", **fields: Any) -> RunConfig:
    """A preset with any fields of its model, data, training or evaluation replaced, by their flat names.

    Values that arrive as text, as from a command line, are read as the field's type ("false", "1e-3",
    "[15, 31]"). Raises ConfigError on an unknown scale or name, with the nearest valid one, and on values
    that do not fit.
    """
    check_names({str(scale): None}, list(SCALES), "scale")
    owners = parameter_names()
    check_names(fields, list(owners), "parameters")
    chosen = {**PRESETS[scale], **fields}
    parts: dict[type, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, value in chosen.items():
        owner = owners[name]
        parts[owner][name] = _read(name, value, annotations(owner)[name])
    return RunConfig(scale, *(part(**parts[part]) for part in _PARTS))  # type: ignore[arg-type]


def check_field(name: str, value: Any) -> None:
    """Raise ConfigError if a field cannot have this value for any values of the other fields."""
    hint = annotations(parameter_names()[name])[name]
    value = _read(name, value, hint)
    check_type(name, value, hint)
    check_range(name, value)


def _read(name: str, value: Any, hint: Any) -> Any:
    """Convert text to the type of a field, if it is unambiguous; other values are returned unchanged."""
    if typing.get_origin(hint) is types.UnionType:
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if isinstance(value, list):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return value  # check_range reports it
    if not isinstance(value, str) or hint is str:
        return value
    if typing.get_origin(hint) is typing.Literal:
        return next((a for a in typing.get_args(hint) if str(a) == value), value)
    try:
        if hint is bool:
            return {"true": True, "false": False}[value.lower()]
        if hint in (int, float):
            return hint(value)
        if typing.get_origin(hint) is tuple:
            return tuple(int(v) for v in value.strip("()[] ").split(","))
    except (KeyError, ValueError):
        kind = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{name}={shown(value)}: give a value of type {kind}") from None
    return value
