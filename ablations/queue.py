"""A study's cells as a queue of Optuna trials: enqueued once, claimed by one worker each."""

import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from ablations.storage import RETRIES, is_alive
from ablations.study import Cell, Study
from ilrm.runs import find_run

RUN, PARAMETERS, WORKER, ERROR, HOST = "run", "parameters", "worker", "error", "host"
ACTIVE = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True)
class Queue:
    """The cells of one study at one scale in a storage; its Optuna study is named STUDY@SCALE."""

    trials: optuna.Study

    @classmethod
    def open(cls, study: Study, scale: str, storage: BaseStorage) -> "Queue":
        """The queue in this storage, made at the first call."""
        return cls.named(f"{study.name}@{scale}", storage)

    @classmethod
    def named(cls, name: str, storage: BaseStorage) -> "Queue":
        trials = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),  # nothing is sampled
            load_if_exists=True,
        )
        return cls(trials)

    def add(self, cells: Iterable[Cell], retry_failed: bool = False) -> int:
        """Enqueue the cells that are neither done nor waiting nor running; returns how many.

        The run store tells what is done. Failed cells are enqueued again on request only.
        """
        self.recover()
        known = self.states()
        added = 0
        for cell in cells:
            state = known.get(cell.run_name)
            if state in ACTIVE or (state is TrialState.FAIL and not retry_failed):
                continue
            if find_run(cell.config) is not None or self._done_elsewhere(cell, state):
                continue
            self._enqueue(cell.run_name, cell.parameters)
            known[cell.run_name] = TrialState.WAITING
            added += 1
        return added

    def states(self) -> dict[str, TrialState]:
        """{run name: state of its newest trial}; pruned trials are claims that came too late."""
        newest = sorted(self._cells(), key=lambda trial: trial.number)
        return {t.user_attrs[RUN]: t.state for t in newest if t.state is not TrialState.PRUNED}

    def counts(self, cells: Iterable[Cell]) -> Counter[str]:
        """How many of the cells are done, running, waiting, failed, or not enqueued."""
        states = self.states()
        counts: Counter[str] = Counter()
        for cell in cells:
            state = states.get(cell.run_name)
            if find_run(cell.config) is not None:
                counts["done"] += 1
            elif state is None:
                counts["not enqueued"] += 1
            elif self._done_elsewhere(cell, state):
                counts["done on another host"] += 1
            elif state is TrialState.COMPLETE:
                counts["done, run removed"] += 1
            else:
                counts[state.name.lower().replace("fail", "failed")] += 1
        return counts

    def failures(self, cells: Iterable[Cell]) -> dict[str, str]:
        """{run name: error} of the cells whose newest trial failed."""
        states = self.states()
        wanted = {c.run_name for c in cells if states.get(c.run_name) is TrialState.FAIL}
        found = {}
        for trial in self._cells():
            if trial.state is TrialState.FAIL and trial.user_attrs[RUN] in wanted:
                found[trial.user_attrs[RUN]] = trial.user_attrs.get(ERROR, "its worker died")
        return found

    def waiting(self) -> int:
        """Trials that nobody has claimed."""
        return len(self.trials.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def recover(self) -> None:
        """Cells whose worker died wait again: by heartbeat in a database, by lock on this host."""
        fail_stale_trials(self.trials)
        for trial in self._cells((TrialState.RUNNING,)):
            worker = trial.user_attrs.get(WORKER)
            if worker is None or is_alive(worker):
                continue
            try:
                self.trials.tell(trial.number, state=TrialState.FAIL)
            except (RuntimeError, ValueError):
                continue  # another process was faster
            deaths = trial.user_attrs.get("deaths", 0) + 1
            if deaths <= RETRIES:
                attrs = trial.user_attrs
                self._enqueue(attrs[RUN], attrs[PARAMETERS], deaths=deaths)

    def taken(self, trial: optuna.Trial) -> bool:
        """Whether the cell of a claimed trial is done or being done under another trial."""
        for other in self._cells():
            same = other.user_attrs[RUN] == trial.user_attrs[RUN] and other.number != trial.number
            earlier = other.state is TrialState.RUNNING and other.number < trial.number
            if same and earlier and is_alive(other.user_attrs.get(WORKER, "")):
                return True
        return False

    def _enqueue(self, run: str, parameters: dict[str, Any], **attrs: Any) -> None:
        attrs = {RUN: run, PARAMETERS: parameters, **attrs}
        self.trials.enqueue_trial({"run": run}, user_attrs=attrs)

    def _cells(self, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
        trials = self.trials.get_trials(deepcopy=False, states=states)
        return [trial for trial in trials if RUN in trial.user_attrs]

    def _done_elsewhere(self, cell: Cell, state: TrialState | None) -> bool:
        """Complete on another host, whose run store is not this one."""
        if state is not TrialState.COMPLETE:
            return False
        done = [t for t in self._cells((state,)) if t.user_attrs[RUN] == cell.run_name]
        return done[-1].user_attrs.get(HOST) != socket.gethostname()
