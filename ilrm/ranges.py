"""Ranges of numbers: fields of a configuration, independent of other fields, and options of commands.

The upper limits are far above anything useful. They turn a mistake, such as a seed of 24 digits, into an
error that names the field, instead of a later error of some library.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ilrm.errors import ConfigError
from ilrm.fields import shown


@dataclass(frozen=True)
class Whole:
    """Integers from low to high, both included."""

    low: int
    high: int

    def __contains__(self, value: Any) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real:
    """Finite numbers from low to high, both included, or without low if `above`."""

    low: float
    high: float
    above: bool = False  # whether low itself is excluded

    def __contains__(self, value: Any) -> bool:
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.above:
            return f"a number above {self.low:g}, at most {self.high:g}"
        return f"a finite number, {self.low:g} or more, at most {self.high:g}"


SEED = Whole(0, 2**32 - 1)  # accepted by both NumPy and torch
_COUNT = Whole(1, 10**9)
_VIEWS = Whole(0, 10_000)  # config.py refuses fewer than two input views
_FRAMES = Whole(0, 10**6)
_LOGIT = Real(-80, 80)  # exp of it is a number
_RATE = Real(0, 1e3, above=True)
_NORM = Real(0, 1e12, above=True)
_WEIGHT = Real(0, 1e6)
_SIDE = Whole(0, 2**16)  # RunConfig refuses sizes that are not whole patches

RANGES: dict[str, Whole | Real] = {
    # model
    "layers": Whole(1, 1000),
    "width": Whole(1, 2**16),
    "heads": Whole(1, 2**12),
    "patch": Whole(1, 2**10),
    "uplift": Whole(1, 64),
    "initial_grid": Whole(1, 2**12),
    "near": Real(0, 1e6),
    "far": Real(0, 1e9, above=True),
    "scale_bias": _LOGIT,
    "scale_max": _LOGIT,
    "opacity_bias": _LOGIT,
    "init_std": Real(0, 100),
    # data
    "image_height": _SIDE,
    "image_width": _SIDE,
    "context_views": _VIEWS,
    "context_range": _VIEWS,
    "target_views": _VIEWS,
    "input_targets": _VIEWS,
    "gap_start": _FRAMES,
    "gap_end": _FRAMES,
    "gap_steps": Whole(0, 10**9),
    "procedural_train": Whole(1, 10**7),
    "procedural_test": Whole(1, 10**7),
    "procedural_frames": Whole(12, 10**5),  # eight context views with targets between
    "procedural_seed": SEED,
    "procedural_supersample": Whole(1, 32),
    # training
    "steps": _COUNT,
    "batch": Whole(1, 10**6),
    "accumulate": Whole(1, 10**6),
    "lr": _RATE,
    "matrix_lr": _RATE,
    "warmup": Whole(0, 10**9),
    "weight_decay": Real(0, 1e3),
    "perceptual_weight": _WEIGHT,
    "depth_weight": _WEIGHT,
    "clip_norm": _NORM,
    "skip_norm": _NORM,
    "seed": SEED,
    "eval_every": _COUNT,
    "save_minutes": Real(0, 1e6),
    # evaluation
    "input_views": _VIEWS,
    "camera_noise": Real(0, 1e4),
    "decoded_layer": Whole(0, 1000),
}


# Options of commands, and parameters of notebooks, that are not fields of a configuration
OPTIONS: dict[str, Whole | Real] = {
    "views": Whole(2, 1_000),
    "side": Whole(11, 4_096),  # of an image in pixels; SSIM has a window of 11
    "scenes": Whole(1, 10**6),
    "pictures": Whole(0, 10**5),
    "rooms": Whole(1, 10**4),
    "room": Whole(0, 10**4),
    "refine": Whole(0, 1_000),  # steps on all input views; the paper's are 10 and 20
    "splat": Real(0, 86_400, above=True),  # seconds
    "steps": Whole(10, 10**6),  # steps of 3D-GS, one view each; published: 30,000
    "seconds": Real(0, 3_600, above=True),  # per measurement of a benchmark
    "trials": Whole(1, 10**5),
    "workers": Whole(1, 1_024),
}


# How the input views of a capture are chosen (`ilrm.reconstruction.view_choice`)
ViewChoice = Literal["near", "kmeans", "even"]
VIEW_CHOICES: tuple[ViewChoice, ...] = get_args(ViewChoice)


def check_option(name: str, value: Any) -> None:
    """Raise ConfigError if an option has a value outside its range; None stands for the default."""
    if value is not None and value not in OPTIONS[name]:
        raise ConfigError(f"{name}={shown(value)}: give {OPTIONS[name]}")


def check_ranges(config: object) -> None:
    """Raise ConfigError on the first number of a configuration that is outside its range.

    The types have been checked before.
    """
    for name, value in vars(config).items():
        check_range(name, value)


def check_range(name: str, value: Any) -> None:
    """Raise ConfigError if a field's value, or a number of its pair, is outside the field's range."""
    allowed = RANGES.get(name)
    numbers = value if isinstance(value, tuple) else (value,)
    if allowed is not None and not all(n is None or n in allowed for n in numbers):
        raise ConfigError(f"{name}={shown(value)}: give {allowed}")
