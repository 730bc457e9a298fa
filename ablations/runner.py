"""Runs studies: enqueues their cells, keeps workers going, shows progress until all cells are done."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ablations.queue import Queue
from ablations.storage import open_storage
from ablations.study import SEEDS, Cell, Study
from ilrm import cost
from ilrm.config import RunConfig
from ilrm.data.scenes import dataset_root
from ilrm.errors import IlrmError
from ilrm.paths import PROJECT, RUNS
from ilrm.progress import progress_bar
from ilrm.runs import share_done

POLL = 1.0  # seconds between looks at the queues
DEATHS = 20  # workers that may die before the runner gives up
VGG_MACS = 300_000  # a pixel, of LPIPS
IMAGES_A_SCENE = 4 * 6  # target views of the model, two baselines and the truth
TRAINING_PASSES = 3  # forward, and backward of twice the cost


class WorkersError(IlrmError):
    """Workers that keep dying."""


@dataclass(frozen=True)
class Plan:
    """Studies at one scale with their queues and cells, in the order in which they are run."""

    storage: str
    queues: list[tuple[Queue, list[Cell]]]

    @classmethod
    def make(cls, studies: list[Study], scale: str, storage: str, seeds: int = SEEDS) -> "Plan":
        """Opens the storage. Raises StorageError, and ConfigError on a study that this scale cannot run."""
        cells = [(study, study.cells(scale, seeds)) for study in studies]
        opened = open_storage(storage)
        return cls(storage, [(Queue.open(study, scale, opened), own) for study, own in cells])

    @property
    def cells(self) -> dict[str, Cell]:
        """{run name: cell}: a run that several studies share counts once."""
        return {cell.run_name: cell for _, own in self.queues for cell in own}

    def counts(self) -> Counter[str]:
        """How many cells are done, running, waiting, failed; see `Queue.counts`."""
        return sum((queue.counts(own) for queue, own in self.queues), Counter())


def run(plan: Plan, workers: int, retry_failed: bool = False) -> dict[str, str]:
    """Run every cell that is not done yet with so many worker processes; returns {run: error}.

    Returns when no cell waits or runs, on this host or another. Started again after any kind of death
    it goes on where the run store and the queue stand. Raises WorkersError.
    """
    for queue, own in plan.queues:
        queue.add(own, retry_failed)
    for data in {cell.config.data for cell in plan.cells.values()}:
        dataset_root(data)  # once, before the workers ask for it
    pool = _Workers(plan, workers)
    with _bar(plan) as bar:
        try:
            while True:
                for queue, _ in plan.queues:
                    queue.recover()
                counts = plan.counts()
                _show(bar, plan, counts)
                if not counts["waiting"] and not counts["running"]:
                    break
                pool.keep_going(counts["waiting"])
                time.sleep(POLL)
        finally:
            pool.stop()
    failures: dict[str, str] = {}
    for queue, own in plan.queues:
        failures |= queue.failures(own)
    return failures


def effort(config: RunConfig) -> float:
    """Roughly the MACs of a run, training and evaluation: what the time left is estimated from."""
    d, t = config.data, config.train
    evaluation = d.procedural_test * IMAGES_A_SCENE * VGG_MACS * d.image_height * d.image_width
    if config != config.training:
        return evaluation
    macs = cost.analytic_macs(config.model, d.context_views, d.image_height, d.image_width)
    return evaluation + TRAINING_PASSES * t.steps * t.batch * sum(macs.values())


def _bar(plan: Plan) -> tqdm:
    efforts = {name: effort(cell.config) for name, cell in plan.cells.items()}
    return progress_bar(
        total=sum(efforts.values()),
        initial=sum(value * share_done(plan.cells[n].config) for n, value in efforts.items()),
        smoothing=0,
        bar_format="{desc} |{bar:20}| {elapsed} passed, {remaining} left",
    )


def _show(bar: tqdm, plan: Plan, counts: Counter[str]) -> None:
    done = sum(effort(c.config) * share_done(c.config) for c in plan.cells.values())
    states = ", ".join(f"{n} {state}" for state, n in counts.items() if state != "done" and n)
    bar.set_description_str(
        f"{counts['done']}/{counts.total()} cells ({states or 'all done'})", False
    )
    bar.update(max(0, done - bar.n))


class _Workers:
    """Worker processes on this host, started as long as cells wait."""

    def __init__(self, plan: Plan, count: int):
        self.count, self.alive, self.deaths, self.started = count, [], 0, 0  # type: ignore[var-annotated]
        names = [queue.trials.study_name for queue, _ in plan.queues]
        module = [sys.executable, "-m", "ablations.worker"]
        self.command = [*module, plan.storage, *names, str(os.getpid())]
        self.log = RUNS / "workers.log"

    def keep_going(self, waiting: int) -> None:
        """Replace workers that ended while cells wait. Raises WorkersError if they keep dying."""
        ended = [process for process in self.alive if process.poll() is not None]
        self.alive = [process for process in self.alive if process.poll() is None]
        for process in ended:
            if process.returncode:
                self.deaths += 1
                tqdm.write(
                    f"a worker died (status {process.returncode}): its cell is taken up again"
                )
        if self.deaths > DEATHS:
            raise WorkersError(f"{self.deaths} workers died: see {self.log}")
        for _ in range(min(self.count - len(self.alive), waiting)):
            self._start()

    def _start(self) -> None:
        threads = max(1, (os.cpu_count() or 1) // self.count)
        environment = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        devices = torch.cuda.device_count()
        if devices > 1:  # one after the other
            environment.setdefault("CUDA_VISIBLE_DEVICES", str(self.started % devices))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.alive.append(
                subprocess.Popen(self.command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
            )
        self.started += 1

    def stop(self) -> None:
        """End the workers that still run."""
        for process in self.alive:
            process.terminate()
        for process in self.alive:
            process.wait()
