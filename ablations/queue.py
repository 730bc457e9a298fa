"""A study's cells as a queue of Optuna trials, each enqueued once and claimed by one worker."""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ablations.storage import is_held, of_another_host, open_trials, recover
from ablations.study import Cell, Study
from ilrm.runs.store import find_run

RUN, PARAMETERS, ERROR, HOST, PLAN = "run", "parameters", "error", "host", "plan"
SWEEP = "sweep-"  # prefix of the names of sweeps, which share the storage

# States of a cell, in order of precedence for a cell in several queues
STATES = RUNNING, WAITING, FAILED, NEW, REMOVED, ELSEWHERE, DONE = (
    "running",
    "waiting",
    "failed",
    "not enqueued",
    "removed",
    "done on another host",
    "done",
)
_OF_TRIALS = {
    TrialState.RUNNING: RUNNING,
    TrialState.WAITING: WAITING,
    TrialState.FAIL: FAILED,
}


_NAME = re.compile(r"(?P<study>.+)-[0-9a-f]{8}@(?P<scale>\w+)", re.DOTALL)


def studies_in(storage: BaseStorage, scale: str) -> set[str]:
    """Names of the studies with a queue in a storage at a scale."""
    names = (_NAME.fullmatch(study.study_name) for study in storage.get_all_studies())
    queues = (name for name in names if name is not None and name["scale"] == scale)
    return {name["study"] for name in queues if not name["study"].startswith(SWEEP)}


@dataclass(frozen=True)
class Queue:
    """Queue of the cells of one study at one scale; its Optuna study is named STUDY-HASH@SCALE.

    The hash covers the runs of the study's variants, so an edited file, or another file of the same name, has
    a queue of its own.
    """

    trials: optuna.Study

    @property
    def study(self) -> str:
        """The name of the study whose cells are queued."""
        return _NAME.fullmatch(self.trials.study_name)["study"]  # type: ignore[index]

    @classmethod
    def open(cls, study: Study, scale: str, storage: BaseStorage, create: bool = True) -> "Queue":
        """Open the queue in a storage; the first call creates it.

        Without `create`, a queue that is missing is an empty one in memory.
        """
        return cls.named(f"{study.name}-{study.hash(scale)}@{scale}", storage, create)

    @classmethod
    def named(cls, name: str, storage: BaseStorage, create: bool = True) -> "Queue":
        sampler = optuna.samplers.RandomSampler(seed=0)  # required, but not used
        return cls(open_trials(name, storage, create, direction="maximize", sampler=sampler))

    def add(
        self, cells: Iterable[Cell], retry_failed: bool = False, held: Container[str] = ()
    ) -> int:
        """Enqueue the cells that are neither done (according to the run store), waiting nor running; returns
        their number.

        Failed cells are only enqueued with `retry_failed`. Runs in `held`, which are in another queue of the
        same runner, are never enqueued.
        """
        self.recover()
        states = self.states(cells := list(cells))
        self._plan({cell.run_name for cell in cells})
        added = 0
        for cell in cells:
            state = states[cell.run_name]
            wanted = state in (NEW, REMOVED) or (state == FAILED and retry_failed)
            if wanted and cell.run_name not in held:
                attrs = {RUN: cell.run_name, PARAMETERS: cell.parameters}
                self.trials.enqueue_trial({RUN: cell.run_name}, user_attrs=attrs)
                states[cell.run_name] = WAITING
                added += 1
        return added

    def _plan(self, wanted: set[str]) -> None:
        """Set the plan, as only planned cells are run. While another runner is active, its plan is kept."""
        if self.trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            wanted = wanted | set(self.trials.user_attrs.get(PLAN, ()))
        self.trials.set_user_attr(PLAN, sorted(wanted))

    def planned(self, trial: optuna.Trial) -> bool:
        """Whether a claimed trial belongs to the newest plan; a queue may contain trials of older plans."""
        return trial.user_attrs.get(RUN) in self.trials.user_attrs.get(PLAN, ())

    def states(self, cells: Iterable[Cell], recovered: bool = False) -> dict[str, str]:
        """{run name: state}, one of STATES, from the newest trial of each cell and from the run store.

        `recovered`: the states that `recover` would lead to; nothing is written.
        """
        newest = self._newest()
        states = {c.run_name: self._state(c, newest.get(c.run_name)) for c in cells}
        if recovered:
            for name, state in states.items():
                if state == RUNNING and not is_held(self.trials, newest[name]):
                    states[name] = WAITING
        return states

    def failures(self, cells: Sequence[Cell]) -> dict[str, str]:
        """{run name: error} for the cells whose newest trial failed."""
        newest = self._newest()
        failed = {
            cell.run_name: newest[cell.run_name]
            for cell, state in zip(cells, self.states(cells).values(), strict=True)
            if state == FAILED
        }
        return {
            name: trial.user_attrs.get(ERROR, "its worker died") for name, trial in failed.items()
        }

    def waiting(self) -> int:
        """Number of trials that no worker has claimed."""
        return len(self.trials.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def recover(self) -> None:
        """Enqueue the cells again whose worker died."""
        recover(self.trials)

    def taken(self, trial: optuna.Trial) -> bool:
        """Whether another trial of the same cell is running, or complete on another host."""
        for other in self._cells():
            if other.user_attrs[RUN] != trial.user_attrs[RUN] or other.number == trial.number:
                continue
            earlier = other.state is TrialState.RUNNING and other.number < trial.number
            if (earlier and is_held(self.trials, other)) or self._done_elsewhere(other):
                return True
        return False

    def _cells(self) -> list[FrozenTrial]:
        trials = self.trials.get_trials(deepcopy=False)
        return [trial for trial in trials if RUN in trial.user_attrs]

    def _newest(self) -> dict[str, FrozenTrial]:
        """{run name: newest trial}, without pruned trials, which are claims that came too late."""
        ordered = sorted(self._cells(), key=lambda trial: trial.number)
        return {t.user_attrs[RUN]: t for t in ordered if t.state is not TrialState.PRUNED}

    def _state(self, cell: Cell, trial: FrozenTrial | None) -> str:
        if trial is not None and trial.state in _OF_TRIALS:
            return _OF_TRIALS[trial.state]
        if find_run(cell.config) is not None:
            return DONE
        if trial is None:
            return NEW
        return ELSEWHERE if self._done_elsewhere(trial) else REMOVED

    def _done_elsewhere(self, trial: FrozenTrial) -> bool:
        """Whether a trial is complete on another host, whose run store may be a different one."""
        host = trial.user_attrs.get(HOST, "")
        return trial.state is TrialState.COMPLETE and of_another_host(self.trials, host)
