"""Runs studies: enqueues their cells, keeps workers going, shows progress until all cells are done."""

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from tqdm import tqdm

from ablations.queue import DONE, RUNNING, STATES, WAITING, Queue
from ablations.storage import open_storage
from ablations.study import SEEDS, Cell, Study
from ablations.workers import Workers
from ilrm import cost
from ilrm.config import RunConfig
from ilrm.data.batches import dataset_root
from ilrm.runs.store import share_done
from ilrm.system.progress import progress_bar

POLL = 2.0  # seconds between looks at the queues
VGG_MACS = 300_000  # a pixel, of LPIPS
IMAGES_A_SCENE = 2 * 6  # target views, rendered and true
TRAINING_PASSES = 3  # forward, and backward of twice the cost
MACS_A_PARAMETER = 5_000  # the optimizer's, a step: fitted to the recorded tiny runs


@dataclass(frozen=True)
class Plan:
    """Studies at one scale with their queues and cells, in the order in which they are run."""

    storage: str
    queues: list[tuple[Queue, list[Cell]]]

    @classmethod
    def make(cls, studies: list[Study], scale: str, storage: str, seeds: int = SEEDS) -> "Plan":
        """Opens the storage. Raises StudyError, and ConfigError on a study that this scale cannot run."""
        cells = [(study, study.cells(scale, seeds)) for study in studies]
        opened = open_storage(storage)
        return cls(storage, [(Queue.open(study, scale, opened), own) for study, own in cells])

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """{run name: cell}: a run that several studies share counts once."""
        return {cell.run_name: cell for _, own in self.queues for cell in own}

    @cached_property
    def efforts(self) -> dict[str, float]:
        """{run name: effort}."""
        return {name: effort(cell.config) for name, cell in self.cells.items()}

    def done(self) -> float:
        """The effort that is behind us, started runs included."""
        return sum(e * share_done(self.cells[name].config) for name, e in self.efforts.items())

    def counts(self) -> Counter[str]:
        """How many cells are in each of `queue.STATES`, each counted once."""
        states: dict[str, str] = {}
        for queue, own in self.queues:
            for name, state in queue.states(own).items():
                states[name] = min(state, states.get(name, state), key=STATES.index)
        return Counter(states.values())


def run(plan: Plan, workers: int, retry_failed: bool = False) -> dict[str, str]:
    """Run every cell that is not done yet with so many worker processes; returns {run: error}.

    Returns when no cell waits or runs, on this host or another. Started again after any kind of death
    it goes on where the run store and the queue stand. Raises StudyError.
    """
    held: set[str] = set()
    for queue, own in plan.queues:
        queue.add(own, retry_failed, held)
        held |= {cell.run_name for cell in own}
    for data in {cell.config.data for cell in plan.cells.values()}:
        dataset_root(data)  # once, before the workers ask for it
    names = [queue.trials.study_name for queue, _ in plan.queues]
    pool = Workers(workers, ["ablations.worker", plan.storage, *names])
    with _bar(plan) as bar:
        try:
            while True:
                for queue, _ in plan.queues:
                    queue.recover()
                counts = plan.counts()
                _show(bar, plan, counts)
                if not counts[WAITING] and not counts[RUNNING]:
                    break
                pool.keep_going(counts[WAITING])
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
    step = TRAINING_PASSES * t.batch * sum(macs.values())
    return evaluation + t.steps * (step + MACS_A_PARAMETER * cost.parameters(config.model))


def _bar(plan: Plan) -> tqdm:
    return progress_bar(
        total=sum(plan.efforts.values()),
        initial=plan.done(),
        smoothing=0,
        bar_format="{desc} |{bar:20}| {elapsed} passed, {remaining} left",
    )


def _show(bar: tqdm, plan: Plan, counts: Counter[str]) -> None:
    states = ", ".join(f"{n} {state}" for state, n in counts.items() if state != DONE)
    bar.set_description_str(
        f"{counts[DONE]}/{counts.total()} cells ({states or 'all done'})", False
    )
    bar.update(max(0, plan.done() - bar.n))
