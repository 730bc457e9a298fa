"""Run cells of studies for a limited time, `python -m ablations.side_by_side --minutes 9`.

Meant for a GPU that is only available for a short time: several processes share it, the most important cells
run first, and cells that are complete or claimed by another process are skipped. Cells are trained and
evaluated without a notebook, so that neither Optuna nor papermill is needed; `python -m ablations record`
records these runs like any others.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ablations.arguments import positive
from ablations.definitions import StudyError
from ablations.study import SEEDS, Cell, find_studies
from ilrm.errors import IlrmError
from ilrm.presets import SCALES
from ilrm.system.cli import Command

if TYPE_CHECKING:
    from pathlib import Path

    from ilrm.data.batches import TrainingData

# studies by importance for the paper's claims
ORDER = ("components", "layers", "minibatch", "architecture", "resolution", "views", "refinement")
POLL = 0.5  # seconds


def cells_by_value(names: Sequence[str], scale: str, seeds: int) -> list[Cell]:
    """Cells of the studies without repeated runs, with all studies of one seed before the next seed."""
    cells: dict[str, Cell] = {}
    every = [cell for study in find_studies(names) for cell in study.cells(scale, seeds)]
    for cell in sorted(every, key=lambda cell: cell.seed):
        cells.setdefault(cell.run_name, cell)
    return list(cells.values())


def work(cells: list[Cell], deadline: float, run_by: int) -> None:
    """Perform unclaimed cells as long as the next one is expected to finish before the deadline and the
    process `run_by`, which started this one, is alive.
    """
    from ilrm.data.batches import training_data
    from ilrm.runs.store import find_run
    from ilrm.runs.training_runs import perform_run
    from ilrm.system.paths import RUNS

    longest = 0.0
    held: list[TrainingData] = []  # keeps decoded frames for the next cell with the same data
    for cell in cells:
        if find_run(cell.config) is not None:
            continue
        if time.time() + longest > deadline or os.getppid() != run_by:
            break
        with _claim(RUNS / "claims" / cell.run_name) as mine:
            if not mine or find_run(cell.config) is not None:
                continue
            start = time.time()
            try:
                train = cell.config.train
                held[:] = [training_data(cell.config.data, train.batch, train.seed)]
                run = perform_run(cell.config, show_progress=False)
            except (IlrmError, RuntimeError) as error:  # continue with the other cells
                print(f"failed: {_label(cell)}: {' '.join(str(error).split())[:300]}", flush=True)
                continue
            longest = max(longest, time.time() - start)
            psnr = run.metrics["summary"]["model"]["psnr"]["mean"]
            print(f"{_label(cell)}: {psnr:.2f} dB, {time.time() - start:.0f} s", flush=True)


def _label(cell: Cell) -> str:
    return f"{cell.study}, {cell.variant}, seed {cell.seed}"


@contextmanager
def _claim(path: Path) -> Iterator[bool]:
    """Yield whether this process holds the claim on a cell, which the kernel releases when it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def perform(options: argparse.Namespace) -> int:
    """Run the cells and return the exit status: 1 if a worker died."""
    cells = cells_by_value(options.studies, options.scale, options.seeds)
    if options.deadline:
        work(cells, options.deadline, options.run_by)
        return 0
    return _lead(options, cells)


def _lead(options: argparse.Namespace, cells: list[Cell]) -> int:
    """Start the workers and stop them at the deadline; unfinished runs resume in the next call. Returns the
    exit status: 1 if a worker died.
    """
    from ablations.workers import Workers
    from ilrm.data.batches import dataset_root
    from ilrm.runs.store import find_run

    if not 0 < options.minutes < math.inf:
        raise StudyError(f"minutes={options.minutes}: give a finite number above 0")
    deadline = time.time() + 60 * options.minutes
    for data in {cell.config.data for cell in cells}:
        dataset_root(data)  # generate the data once, before the workers need it
    command = ["ablations.side_by_side", *options.studies, "--scale", options.scale]
    command += ["--seeds", str(options.seeds), "--deadline", str(deadline), "--run-by"]
    pool = Workers(options.workers, command)
    print(f"{len(cells)} cells, logged to {pool.log}", flush=True)
    try:
        pool.keep_going(options.workers)
        while time.time() < deadline and any(p.poll() is None for p in pool.alive):
            time.sleep(POLL)
        died = sum(bool(process.poll()) for process in pool.alive)
    finally:
        pool.stop()
    left = [cell for cell in cells if find_run(cell.config) is None]
    print(f"{len(cells) - len(left)} of {len(cells)} cells are done", flush=True)
    return 1 if died else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the studies, and for how long and by how many processes they are run."""
    parser.add_argument(
        "studies",
        nargs="*",
        default=list(ORDER),
        help="names or paths of TOML files; default: %(default)s",
    )
    parser.add_argument("--scale", default="small", choices=SCALES, help="default: %(default)s")
    parser.add_argument(
        "--seeds", type=positive, default=SEEDS, help="seeds per variant; default: %(default)s"
    )
    parser.add_argument(
        "--workers", type=positive, default=3, help="processes; default: %(default)s"
    )
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="time for all of them; default: %(default)s"
    )
    # internal arguments of the workers
    parser.add_argument("--deadline", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--run-by", type=int, help=argparse.SUPPRESS)


main = Command("python -m ablations.side_by_side", __doc__, add_arguments, perform, resumes=True)

if __name__ == "__main__":
    sys.exit(main())
