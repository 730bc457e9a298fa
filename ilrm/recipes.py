"""Training recipes as stages of parameters: the published ones (supplementary), and that of ilrm-small.

A stage starts from the weights of the one before. The data sets of the published recipes are the user's own
(`root`, `evaluation_index`); that of ilrm-small is procedural.
"""

from typing import Any

from ilrm.config import RunConfig
from ilrm.errors import ConfigError
from ilrm.presets import run_config

_DL3DV: dict[str, Any] = {
    "context_views": 6,  # at evaluation
    "context_range": (6, 11),
    "view_spread": "farthest",
    "gap_start": (15, 30),
    "gap_end": (20, 50),
    "resize": "crop",
    "distortion": "ignore",
    "batch": 96,
}
_WIDE: dict[str, Any] = {
    "context_views": 32,
    "view_spread": "farthest",
    # our choice, as it is not published: full coverage needs most of a clip
    "gap_start": (100, 200),
    "gap_end": (200, 400),
}

RECIPES: dict[str, tuple[dict[str, Any], ...]] = {
    # the batch of re10k-2 is not published (our choice: that of re10k-4)
    "re10k-2": ({"context_views": 2, "viewpoint_scale": "F", "batch": 128, "steps": 200_000},),
    "re10k-4": ({"context_views": 4, "batch": 128, "steps": 100_000},),
    "re10k-8": ({"context_views": 8, "batch": 256, "steps": 50_000},),
    # from the weights of re10k-8, given as start
    "dl3dv": (
        {
            **_DL3DV,
            "image_height": 256,
            "image_width": 448,
            "image_folder": "images_8",
            "steps": 100_000,
        },
        {
            **_DL3DV,
            "image_height": 512,
            "image_width": 960,
            "image_folder": "images_4",
            "steps": 50_000,
        },
    ),
    # the curriculum of resolutions; its lengths and batches are not published (our choice: those of DL3DV)
    "dl3dv-wide": (
        {**_WIDE, "image_height": 256, "image_width": 256, "steps": 100_000, "batch": 64},
        {**_WIDE, "image_height": 512, "image_width": 512, "steps": 50_000, "batch": 32},
        {
            **_WIDE,
            "image_height": 544,
            "image_width": 960,
            "resize": "stretch",
            "steps": 50_000,
            "batch": 32,
        },
    ),
    # the packaged weights, second edition: twelve minutes on an H100 that other runs shared
    "ilrm-small": (
        {
            "scale": "small",
            "width": 256,  # at least the 192 colour values under a token
            "heads": 8,
            "procedural_path": "varied",
            "procedural_train": 6_000,
            "procedural_seed": 3,
            "procedural_supersample": 2,  # drawn in a quarter of the time
            "context_range": (2, 8),
            "gap_start": (6, 12),
            "gap_end": (6, 23),
            "gap_steps": 2_000,
            "batch": 64,
            "steps": 5_600,
            "warmup": 200,
            "eval_every": 500,
            "save_minutes": 2.0,
        },
    ),
}


def stages(name: str, **fields: Any) -> list[RunConfig]:
    """The runs of a recipe in order, with some fields (or the `scale`) of all stages replaced.

    `start` applies to the first stage; each other stage starts from the run before it. Raises ConfigError.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}: give one of {', '.join(RECIPES)}")
    if "scale" in fields and "scale" in RECIPES[name][0]:
        raise ConfigError(f"recipe {name} has a scale of its own: give single fields instead")
    start = fields.pop("start", "")
    runs: list[RunConfig] = []
    for stage in RECIPES[name]:
        run = run_config(**{"scale": "paper", **stage, **fields, "start": start})
        runs.append(run)
        start = run.name
    return runs
