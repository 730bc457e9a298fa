"""Cost of the paper's training recipes by the cost model: on one GPU, on eight, and on a cluster."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ilrm import cost
from ilrm.config import RunConfig
from ilrm.cost.floors import DEVICES
from ilrm.cost.memory import Workload, saved_bytes
from ilrm.recipes import RECIPES, stages

RECIPES_OF_THE_PAPER = [name for name in RECIPES if name != "ilrm-small"]
GPU = DEVICES["H100"]
MEMORY = 80e9  # bytes
SHARE = 0.35  # assumed share of the GPU's dense bf16 rate that training reaches
PASSES = 4  # forward passes per step: one, one for checkpointing, and two for the gradients of each product
BYTES_PER_PARAMETER = 16  # fp32 weight, gradient and two moments
COUNTS = (1, 8, 64)  # GPUs

NOTES = [
    "encoder only: renderer, VGG loss and data are not counted; none of these recipes has been run",
    f"{PASSES} forward passes per step (activation checkpointing), matrix products in bf16 at "
    f"{SHARE:.0%} of an H100's dense rate, an assumption; the exchange of gradients is not counted",
    "memory: what the backward pass keeps with checkpointing, for the largest number of views of the recipe, "
    "and 16 bytes per parameter",
    "parts: `accumulate`, the fewest into which a process's scenes have to be divided to fit into 80 GB",
]


def training_costs() -> pd.DataFrame:
    """One row per stage of a recipe: operations, GPU-hours, time and memory on several numbers of GPUs."""
    return pd.DataFrame(list(_rows()))


def _rows() -> Iterator[dict[str, Any]]:
    for name in RECIPES_OF_THE_PAPER:
        for number, run in enumerate(stages(name), 1):
            flops = flops_per_step(run) * run.train.steps
            hours = flops / (SHARE * GPU.flops) / 3600
            d = run.data
            yield {
                "recipe": f"{name}, stage {number}" if len(RECIPES[name]) > 1 else name,
                "views": "-".join(map(str, d.context_range or (d.context_views,))),
                "size": f"{d.image_height}x{d.image_width}",
                "batch": run.train.batch,
                "steps": f"{run.train.steps:,}",
                "EFLOP": f"{flops / 1e18:,.0f}",
                "H100-hours": f"{hours:,.0f}",
                **{f"{count} GPU{'s' * (count > 1)}": _on(run, count, hours) for count in COUNTS},
            }


def flops_per_step(run: RunConfig) -> float:
    """Operations of the encoder in a training step, over the mean number of views."""
    low, high = run.data.context_range or (run.data.context_views,) * 2
    size = run.data.image_height, run.data.image_width
    macs = [
        sum(cost.analytic_macs(run.model, views, *size).values()) for views in range(low, high + 1)
    ]
    return 2 * PASSES * run.train.batch * sum(macs) / len(macs)


def memory(run: RunConfig, scenes: int) -> float:
    """Bytes of a training step with `scenes` scenes per process."""
    most = run.data.context_range[1] if run.data.context_range else run.data.context_views
    work = Workload(
        run.model,
        most,
        run.data.image_height,
        run.data.image_width,
        scenes,
        "bf16",
        checkpointing=True,
        fused_norm=True,
    )
    return saved_bytes(work) + BYTES_PER_PARAMETER * cost.parameters(run.model)


def _on(run: RunConfig, count: int, hours: float) -> str:
    """Duration, memory and number of parts on `count` GPUs."""
    if run.train.batch % count:
        return "-"
    scenes = run.train.batch // count
    parts = next(
        (p for p in range(1, scenes + 1) if not scenes % p and memory(run, scenes // p) < MEMORY), 0
    )
    if not parts:
        return "too large"
    divided = f", {parts} parts" if parts > 1 else ""
    each = hours / count
    time = f"{each / 24:.1f} days" if each > 48 else f"{each:.1f} h"
    return f"{time}, {memory(run, scenes // parts) / 1e9:.0f} GB{divided}"
