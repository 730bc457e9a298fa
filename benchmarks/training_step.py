"""Measure the time of each part of a training step: `python benchmarks/training_step.py --threads 1 2`.

Prints a Markdown table: median milliseconds of each part of a step of the tiny scale's base model, for each
number of threads, in one run. The backward pass is split at the Gaussians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import torch
from torch import nn

from ilrm.data.batches import training_data
from ilrm.gaussians import Gaussians
from ilrm.presets import run_config
from ilrm.rendering import render
from ilrm.system.environment import device_name
from ilrm.training.loop import build_model
from ilrm.training.losses import Loss
from ilrm.training.optimizers import make_optimizers, set_learning_rates

PARTS = (
    *("data", "encoder forward", "renderer forward", "loss", "renderer backward"),
    *("encoder backward", "clip", "optimizer"),
)


class Stopwatch:
    """Adds up the time between its calls, by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.last = time.perf_counter()

    def __call__(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now


def measure(scale: str, steps: int) -> dict[str, float]:
    """{part: median milliseconds} over `steps` steps, after ten that warm up."""
    config = run_config(scale)
    t = config.train
    model = build_model(config)
    optimizers, loss_fn = make_optimizers(model, t), Loss(t)
    data = training_data(config.data, t.batch, t.seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    watches = []
    batches = iter(data.batches(range(steps + 10), 0, 1))
    for step in range(steps + 10):
        watch = Stopwatch()
        batch = next(batches)
        watch("data")
        gaussians = model(batch.inputs)
        watch("encoder forward")
        leaves = {name: v.detach().requires_grad_() for name, v in vars(gaussians).items()}
        pred = render(Gaussians(**leaves), batch.targets.cameras).images
        watch("renderer forward")
        loss, _ = loss_fn(pred.flatten(0, 1), batch.targets.images.flatten(0, 1))
        watch("loss")
        loss.backward()
        watch("renderer backward")
        roots = [getattr(gaussians, name) for name in leaves]
        torch.autograd.backward(roots, [leaf.grad for leaf in leaves.values()])
        watch("encoder backward")
        bool(nn.utils.clip_grad_norm_(parameters, t.clip_norm) <= t.skip_norm)
        watch("clip")
        set_learning_rates(optimizers, step, replace(t, steps=max(t.steps, step + 1)))
        for optimizer in optimizers:
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        watch("optimizer")
        watches.append(watch.seconds)
    return {p: 1e3 * statistics.median(seconds[p] for seconds in watches[10:]) for p in PARTS}


def in_process(threads: int, scale: str, steps: int) -> dict[str, float]:
    """`measure` in a process of its own, whose libraries start with this many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--scale", scale, "--steps", str(steps), "--only"]
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    values = done.stdout.split()
    return dict(zip(PARTS, map(float, values), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--scale", default="tiny")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--only", action="store_true", help="measure here and print the numbers")
    options = parser.parse_args()
    if options.only:
        print(*measure(options.scale, options.steps).values())
        return
    columns = {n: in_process(n, options.scale, options.steps) for n in options.threads}
    print(f"{device_name(torch.device('cpu'))}, torch {torch.__version__}, {options.scale} scale\n")
    names = [f"{n} thread{'s' if n > 1 else ''} (ms)" for n in columns]
    print("| part of a step | " + " | ".join(f"{name} | share" for name in names) + " |")
    print("|---|" + "---|---|" * len(columns))
    totals = {n: sum(values.values()) for n, values in columns.items()}
    for part in PARTS:
        cells = [f"{v[part]:.1f} | {v[part] / totals[n]:.0%}" for n, v in columns.items()]
        print(f"| {part} | " + " | ".join(cells) + " |")
    print("| all | " + " | ".join(f"{total:.1f} | 100%" for total in totals.values()) + " |")


if __name__ == "__main__":
    main()
