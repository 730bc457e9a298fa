"""Presets at four scales, and flat parameters to configurations.

A preset changes sizes, never code paths. Values that differ from the dataclass defaults (the paper's
recipe) carry their reason.
"""

import dataclasses
import types
import typing
from typing import Any

from ilrm.config import DataConfig, ModelConfig, RunConfig, TrainConfig, check_names
from ilrm.errors import ConfigError

# Gaussians at low resolution: sizes in pixel footprints leave no holes, and logarithmic distances
# between the walls of a room give every depth a gradient.
_ROOMS: dict[str, Any] = {
    "near": 0.7,  # 1st percentile of the depths of the procedural scenes, in normalised units
    "far": 25.0,
    "distance": "log",
    "scale_unit": "footprint",
    "scale_bias": -0.5,  # Gaussians of 0.6 viewpoint pixels
    "scale_max": 1.0,
    "opacity_bias": 0.0,
    "init": "local",  # minutes are too short for cross-attention to find its own patch
}

_TINY: dict[str, Any] = {
    **_ROOMS,
    "layers": 3,
    "width": 96,
    "heads": 6,
    "patch": 4,  # 16 viewpoint tokens a view of 32 x 32
    "initial_grid": 4,
    "image_height": 32,
    "image_width": 32,
    "procedural_train": 1_200,
    "procedural_frames": 24,
    "input_targets": 2,  # rendering back into inputs needs no depth: appearance is learned first
    "gap_start": (12, 23),
    "gap_end": (12, 23),
    "gap_steps": 1,
    "steps": 1_500,
    "batch": 16,
    "optimizer": "muon",  # halves the steps to a given PSNR at this size
    "lr": 2e-3,
    "warmup": 50,
    "perceptual": "none",  # a VGG pass costs ten model passes at this size
    "skip_norm": 100.0,
    "precision": "fp32",
    "checkpointing": False,
    "eval_every": 100,
    "save_minutes": 1.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Seconds: what tests run.
    "smoke": {
        **_TINY,
        "layers": 1,
        "width": 64,
        "heads": 4,
        "procedural_train": 4,
        "procedural_test": 2,
        "steps": 4,
        "batch": 2,
        "warmup": 1,
        "eval_every": 2,
    },
    # Minutes on two CPU cores.
    "tiny": _TINY,
    # Two minutes on one GPU, a night on a CPU.
    "small": {
        **_ROOMS,
        "layers": 6,
        "width": 384,
        "heads": 6,
        "image_height": 64,
        "image_width": 64,
        "patch": 4,
        "procedural_train": 4_000,
        "procedural_frames": 32,
        "gap_start": (16, 31),
        "gap_end": (16, 31),
        "gap_steps": 1,
        "input_targets": 2,
        "steps": 2_000,
        "batch": 32,
        "optimizer": "muon",
        "lr": 1e-3,
        "warmup": 100,
        "perceptual": "ssim",  # needs no download
        "checkpointing": False,
        "eval_every": 200,
    },
    # Section 4: RE10K, (4, H, F), the recipe of every ablation.
    "paper": {},
}

SCALES = tuple(PRESETS)
_PARTS = (ModelConfig, DataConfig, TrainConfig)


def parameter_names() -> dict[str, type]:
    """Every flat parameter name, with the configuration class that it is a field of."""
    return {f.name: part for part in _PARTS for f in dataclasses.fields(part)}


def model_config(scale: str = "paper", **fields: Any) -> ModelConfig:
    """The model of a preset with some fields replaced. Raises ConfigError on unknown names or values."""
    check_names(fields, [f.name for f in dataclasses.fields(ModelConfig)], "model config")
    return run_config(scale, **fields).model


def run_config(scale: str = "paper", **fields: Any) -> RunConfig:
    """A preset with any fields of its model, data or training replaced, by their flat names.

    Values that arrive as text, as from a command line, are read as the field's type ("false", "1e-3",
    "[15, 31]"). Raises ConfigError on an unknown scale or name, with the nearest right one, and on values
    that do not fit.
    """
    check_names(
        {scale: None} if isinstance(scale, str) else {str(scale): None}, list(SCALES), "scale"
    )
    owners = parameter_names()
    check_names(fields, list(owners), "parameters")
    chosen = {**PRESETS[scale], **fields}
    parts: dict[type, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, value in chosen.items():
        owner = owners[name]
        parts[owner][name] = _read(name, value, typing.get_type_hints(owner)[name])
    model, data, train = (part(**parts[part]) for part in _PARTS)
    return RunConfig(scale=scale, model=model, data=data, train=train)  # type: ignore[arg-type]


def _read(name: str, value: Any, hint: Any) -> Any:
    """Text to the type of a field, where it can mean one thing only; else the value itself."""
    if typing.get_origin(hint) is types.UnionType:
        if value is None or str(value).lower() == "none":
            return None
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if isinstance(value, list):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or hint is str:
        return value
    try:
        if hint is bool:
            return {"true": True, "false": False}[value.lower()]
        if hint in (int, float):
            return hint(value)
        if typing.get_origin(hint) is tuple:
            return tuple(int(v) for v in value.strip("()[] ").split(","))
    except (KeyError, ValueError):
        kind = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{name}={value!r}: give a value of type {kind}") from None
    return value
