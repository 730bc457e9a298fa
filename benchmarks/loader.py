"""Measure training samples per second from disk: `python benchmarks/loader.py ROOT --workers 0 1 2`.

Prints a Markdown table: frames decoded on demand, by number of worker processes, and from memory. A sample is
the context and target views of one scene, decoded, cropped and stacked; a step's batch is not normalised
or moved to a device. Each rate is the median of some rounds, after one that warms up.
"""

import argparse
import statistics
import time

import torch

from ilrm.data.batches import open_scenes
from ilrm.data.dataset import ViewsDataset
from ilrm.data.frames.training_windows import WindowSchedule
from ilrm.data.framing import Framing, parse_size
from ilrm.data.scene import Scenes
from ilrm.system.environment import device_name


def dataset(scenes: Scenes, options: argparse.Namespace, memory: bool) -> ViewsDataset:
    """Training batches, decoded on demand or kept in memory."""
    return ViewsDataset(
        scenes,
        Framing(*parse_size(options.size)),
        options.batch,
        options.views,
        options.targets,
        schedule=WindowSchedule((25, 45), (45, 135), 1),
        memory_budget=1 << 62 if memory else 0,
    )


def rate(data: ViewsDataset, options: argparse.Namespace, workers: int) -> float:
    """Samples per second, median over the rounds."""
    rates = []
    steps = range((options.rounds + 1) * options.steps)
    batches = iter(data.loader(steps, workers=workers))
    for done in range(options.rounds + 1):
        since = time.perf_counter()
        for _ in range(options.steps):
            next(batches)
        if done:  # the first round starts the workers
            rates.append(options.steps * options.batch / (time.perf_counter() - since))
    return statistics.median(rates)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", help="data set: chunks or captures")
    parser.add_argument("--split", default="train")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--views", type=int, default=4, help="context views")
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=4, help="batches per round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    scenes = open_scenes(options.root, options.split)
    print(
        f"{device_name(torch.device('cpu'))}; {len(scenes)} scenes, batches of {options.batch} samples of "
        f"{options.views} + {options.targets} views of {options.size}\n"
    )
    print("| frames | samples per second | images per second |\n|---|---|---|")
    cases = [(f"on demand, {w} workers", False, w) for w in options.workers]
    for name, memory, workers in [*cases, ("from memory", True, 0)]:
        samples = rate(dataset(scenes, options, memory), options, workers)
        images = samples * (options.views + options.targets)
        print(f"| {name} | {samples:.1f} | {images:.0f} |")


if __name__ == "__main__":
    main()
