"""Runner of studies: enqueues their cells, keeps workers running, and shows progress until all are done."""

import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property

from tqdm import tqdm

from ablations.queue import DONE, NEW, RUNNING, STATES, WAITING, Queue
from ablations.storage import address, open_storage
from ablations.study import SEEDS, Cell, Study
from ablations.workers import Workers
from ilrm import cost
from ilrm.config import RunConfig
from ilrm.data.batches import dataset_root
from ilrm.runs.store import share_done
from ilrm.system.progress import progress_bar

POLL = 2.0  # seconds between polls of the queues
VGG_MACS = 300_000  # MACs of LPIPS per pixel
IMAGES_PER_SCENE = 2 * 6  # target views, rendered and ground truth
TRAINING_PASSES = 3  # forward pass, and backward pass at twice its cost
MACS_PER_PARAMETER = 5_000  # optimizer cost per step, fitted to the recorded tiny runs


@dataclass(frozen=True)
class Plan:
    """Queues and cells of studies at one scale, in the order in which they are run."""

    storage: str
    queues: list[tuple[Queue, list[Cell]]]

    @classmethod
    def make(
        cls,
        studies: list[Study],
        scale: str,
        storage: str,
        seeds: int = SEEDS,
        without: Container[str] = (),
        create: bool = True,
    ) -> "Plan":
        """Open the storage. Raises StudyError, also if this scale cannot run a study.

        `without`: names of runs that are left out. Without `create`, nothing is written.
        """
        cells = [
            (study, [cell for cell in study.cells(scale, seeds) if cell.run_name not in without])
            for study in studies
        ]
        opened = open_storage(storage, create)
        queues = [(Queue.open(study, scale, opened, create), own) for study, own in cells]
        return cls(address(storage), queues)

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """{run name: cell}; a run that several studies share appears once."""
        return {cell.run_name: cell for _, own in self.queues for cell in own}

    @cached_property
    def efforts(self) -> dict[str, float]:
        """{run name: estimated effort}."""
        return {name: effort(cell.config) for name, cell in self.cells.items()}

    def done(self) -> float:
        """The completed effort, including that of partly complete runs."""
        return sum(e * share_done(self.cells[name].config) for name, e in self.efforts.items())

    def counts(self) -> Counter[str]:
        """Number of cells in each of `queue.STATES`; every cell is counted once."""
        states: dict[str, str] = {}
        for queue, own in self.queues:
            for name, state in queue.states(own).items():
                states[name] = min(state, states.get(name, state), key=STATES.index)
        return Counter(states.values())


def run(plan: Plan, workers: int, retry_failed: bool = False) -> dict[str, str]:
    """Run every cell that is not done with `workers` worker processes; returns {run: error} of failed cells.

    Returns when no cell is waiting or running, on this host or any other. After an interruption of any kind,
    a new call resumes from the state of the run store and the queue. Raises StudyError.
    """
    _enqueue(plan, retry_failed)
    for data in {cell.config.data for cell in plan.cells.values()}:
        dataset_root(data)  # generate the data once, before the workers need it
    names = [queue.trials.study_name for queue, _ in plan.queues]
    pool = Workers(workers, ["ablations.worker", *names], plan.storage)
    with _bar(plan) as bar:
        try:
            while True:
                for queue, _ in plan.queues:
                    queue.recover()
                counts = plan.counts()
                if counts[NEW]:  # another runner replaced the plan, and its workers dropped them
                    _enqueue(plan)
                pool.keep_going(counts[WAITING])
                _show(bar, plan, counts, len(pool.alive))
                if not any(counts[state] for state in (NEW, WAITING, RUNNING)):
                    break
                time.sleep(POLL)
        finally:
            pool.stop()
    failures: dict[str, str] = {}
    for queue, own in plan.queues:
        failures |= queue.failures(own)
    return failures


def _enqueue(plan: Plan, retry_failed: bool = False) -> None:
    held: set[str] = set()
    for queue, own in plan.queues:
        queue.add(own, retry_failed, held)
        held |= {cell.run_name for cell in own}


def effort(config: RunConfig) -> float:
    """Approximate MACs of a run, training and evaluation, for estimates of the remaining time."""
    d, t = config.data, config.train
    evaluation = d.procedural_test * IMAGES_PER_SCENE * VGG_MACS * d.image_height * d.image_width
    if config != config.training:
        return evaluation
    macs = cost.analytic_macs(config.model, d.context_views, d.image_height, d.image_width)
    step = TRAINING_PASSES * t.batch * sum(macs.values())
    return evaluation + t.steps * (step + MACS_PER_PARAMETER * cost.parameters(config.model))


def _bar(plan: Plan) -> tqdm:
    return progress_bar(
        total=sum(plan.efforts.values()),
        initial=plan.done(),
        miniters=0,  # redraw even without progress
        delay=1e-9,  # first draw when the description is set
        bar_format="{desc} |{bar:20}| {elapsed} elapsed, {remaining} left",
    )


def _show(bar: tqdm, plan: Plan, counts: Counter[str], workers: int) -> None:
    """Update the bar, and redraw it at once if the states have changed."""
    states = [f"{n} {state}" for state, n in counts.items() if state != DONE and n]
    starting = min(workers - counts[RUNNING], counts[WAITING])
    if starting > 0:  # importing torch takes seconds
        states.append(f"{starting} {'workers are' if starting > 1 else 'worker is'} starting")
    described = f"{counts[DONE]}/{counts.total()} cells ({', '.join(states) or 'all done'})"
    bar.update(max(0, plan.done() - bar.n))
    if described != bar.desc:
        bar.set_description_str(described)
