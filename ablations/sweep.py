"""Sweeps: Optuna searches over fields of model and training, in which every trial is a run of the run store.

Like a study, a sweep is a TOML file, with fixed `[fields]` and a `[space]` to search.
"""

import hashlib
import json
import math
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from ablations.arguments import default_storage
from ablations.definitions import StudyError, is_file_name, items, read_toml, table, text
from ablations.queue import ERROR, HOST, SWEEP
from ablations.storage import (
    WORKER,
    address,
    open_storage,
    open_trials,
    quiet_optuna,
    recover,
    run_one,
    sign_of_life,
)
from ablations.workers import Workers
from ilrm import cost
from ilrm.config import RunConfig
from ilrm.data.batches import dataset_root
from ilrm.errors import ConfigError, IlrmError
from ilrm.fields import check_names, shown_path
from ilrm.presets import check_field, parameter_names, run_config
from ilrm.runs.training_runs import perform_run
from ilrm.system.files import is_file
from ilrm.system.paths import RUNS
from ilrm.system.progress import progress_bar
from ilrm.training.checkpoints import Progress

SWEEPS = Path(__file__).parent / "sweeps"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
FAILURES = 5  # number of consecutive failed trials after which a sweep stops
STARTUP = 5  # number of random trials before TPE and the pruner take effect
POLL = 1.0  # seconds
OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {"psnr": "maximize", "gmacs": "minimize"}
_KEYS = ("title", "objectives", "fields", "space")
_RANGE_KEYS = ("low", "high", "log", "step", "choices")


@dataclass(frozen=True)
class Sweep:
    """A search: objectives, fixed fields and search space."""

    name: str
    title: str
    # "psnr": validation PSNR, pruned by its learning curve; with "gmacs": the Pareto front
    objectives: tuple[str, ...]
    fields: dict[str, Any]
    space: dict[str, dict[str, Any]]  # field: low, high, log, step; or choices

    def hash(self, scale: str) -> str:
        """Eight hex digits of what defines the search at a scale: objectives, space, the run that is varied.

        Name and title do not count. Raises ConfigError where the fields do not fit the scale.
        """
        varied = run_config(scale, **self.fields).name
        text = json.dumps([varied, self.objectives, self.space], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def study_name(self, scale: str) -> str:
        """NAME-HASH@SCALE: an edited file, or another file of the same name, is another search."""
        return f"{self.name}-{self.hash(scale)}@{scale}"

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Suggest a value for every searched field."""
        values = {}
        for name, space in self.space.items():
            if "choices" in space:
                values[name] = trial.suggest_categorical(name, space["choices"])
            else:
                whole = isinstance(space["low"], int) and isinstance(space["high"], int)
                suggest: Callable[..., Any] = trial.suggest_int if whole else trial.suggest_float
                values[name] = suggest(name, **space)
        return values

    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of every searched field."""
        trial = optuna.create_study().ask()  # a temporary trial
        self.suggest(trial)
        return trial.distributions


def find_sweep(name: str) -> Sweep:
    """Find a sweep by name or by the path of its TOML file. Raises StudyError."""
    path = Path(name) if is_file_name(name) else SWEEPS / f"{name}.toml"
    if not is_file(path):
        known = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
        raise StudyError(
            f"sweep {shown_path(name)} is missing: give the path of a TOML file, or one of {known}"
        )
    raw = read_toml(path)
    try:
        check_names(raw, list(_KEYS), str(path))
        space, fields = table(raw.get("space", {}), "space"), table(raw.get("fields", {}), "fields")
        for part, names in (("space", space), ("fields", fields)):
            check_names(names, list(parameter_names()), f"{part} of {path}")
        for field, values in space.items():
            given = table(values, f"the space of {field}")
            check_names(given, list(_RANGE_KEYS), f"space of {field} in {path}")
            ends = {"low", "high"} <= set(given)
            if ends == ("choices" in given) or ("choices" in given and len(given) > 1):
                raise StudyError(f"{field} needs low and high, or choices alone")
            if field in fields:
                raise StudyError(f"{field} is in fields and in space: leave one out")
        for field, value in fields.items():
            check_field(field, value)
        objectives = items(raw.get("objectives", ["psnr"]), "objectives")
        check_names(dict.fromkeys(map(str, objectives)), list(OBJECTIVES), str(path))
        if len(set(objectives)) < len(objectives):
            raise StudyError(f"an objective is named twice, among {', '.join(objectives)}")
        title = text(raw.get("title", path.stem), "title")
        sweep = Sweep(path.stem, title, tuple(objectives), fields, space)
        _check_space(sweep)
    except IlrmError as error:
        raise StudyError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    except (TypeError, ValueError, ArithmeticError) as error:  # raised by Optuna
        raise StudyError(f"{path} does not describe a sweep ({error}): correct it") from error
    if not space or not objectives:
        raise StudyError(f"{path} has no {'[space] to search' if objectives else 'objectives'}")
    own = SWEEPS / path.name
    if own.exists() and own.resolve() != path.resolve():
        raise StudyError(f"{path}: another sweep is named {path.stem}: rename the file")
    return sweep


def _check_space(sweep: Sweep) -> None:
    """Raise ConfigError on a value that its field cannot have, and what Optuna raises on a wrong range."""
    for name, space in sweep.space.items():
        for key in ("low", "high"):
            if key in space and isinstance(space[key], str | bool):
                raise TypeError(f"{key} of {name} is {space[key]!r}, not a number")
        ends = [space[key] for key in ("low", "high") if key in space]
        for value in items(space["choices"], f"choices of {name}") if "choices" in space else ends:
            if isinstance(value, list):
                raise TypeError(f"{value} is a choice of {name}, and pairs cannot be searched")
            check_field(name, value)
        step = space.get("step", 1)
        if isinstance(step, str | bool) or not math.isfinite(step) or step <= 0:
            raise TypeError(f"step of {name} is {step!r}, not a number above 0")
        if not isinstance(space.get("log", False), bool):
            raise TypeError(f"log of {name} is {space['log']!r}, neither true nor false")
    sweep.distributions()


def trials_file(sweep: Sweep, scale: str, store: Path = RUNS) -> Path:
    """Path of the table of trials that the command line writes."""
    return store / "sweeps" / sweep.study_name(scale) / "trials.csv"


def open_sweep(sweep: Sweep, scale: str, storage: str, patient: bool = False) -> optuna.Study:
    """The sweep's Optuna study, named sweep-NAME-HASH@SCALE, made at the first call."""
    return open_trials(
        f"{SWEEP}{sweep.study_name(scale)}",
        open_storage(storage, patient=patient),
        directions=[OBJECTIVES[name] for name in sweep.objectives],
        sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )


def run(sweep: Sweep, scale: str, storage: str, trials: int, workers: int) -> optuna.Study:
    """Search until `trials` trials, including earlier ones, have ended; workers that die are replaced.

    Raises StudyError, also if too many consecutive trials fail.
    """
    # generate the data once, before the workers need it
    dataset_root(run_config(scale, **sweep.fields).data)
    storage = address(storage)
    study = open_sweep(sweep, scale, storage)
    first = len(study.get_trials(deepcopy=False))
    # the workers use the definition read here, even if the file changes
    pool = Workers(workers, ["ablations.sweep", _to_json(sweep), scale, str(trials)], storage)
    with progress_bar(total=trials, desc=study.study_name, unit="trial") as bar:
        try:
            while True:
                recover(study)
                ended = len(study.get_trials(deepcopy=False, states=ENDED))
                bar.update(ended - bar.n)
                if ended >= trials:
                    break
                _raise_if_always_fails(study, first)
                pool.keep_going(trials - ended)
                time.sleep(POLL)
        finally:
            pool.stop()
    return study


def work(
    sweep: Sweep,
    scale: str,
    study: optuna.Study,
    trials: int,
    run_by: int | None = None,
    store: Path = RUNS,
) -> None:
    """Run trials until `trials` have ended in total, or until the starting process `run_by` has ended."""
    first = len(study.get_trials(deepcopy=False))
    with sign_of_life() as worker:
        while run_by is None or os.getppid() == run_by:
            recover(study)
            try:
                _raise_if_always_fails(study, first)
            except StudyError:
                return
            states = [trial.state for trial in study.get_trials(deepcopy=False)]
            if sum(state in ENDED for state in states) >= trials:
                return
            busy = states.count(TrialState.RUNNING)
            if sum(state in ENDED for state in states) + busy >= trials:
                time.sleep(POLL)  # the last trials run elsewhere: wait in case their workers die
                continue
            run_one(study, _objective(sweep, scale, worker, store), (IlrmError,))


def _raise_if_always_fails(study: optuna.Study, first: int) -> None:
    """Raise StudyError if the newest trials, from number `first` on, all failed."""
    finished = [t for t in study.get_trials(deepcopy=False)[first:] if t.state.is_finished()]
    newest = finished[-FAILURES:]
    if len(newest) == FAILURES and all(trial.state is TrialState.FAIL for trial in newest):
        error = newest[-1].user_attrs.get(ERROR, "their workers died")
        raise StudyError(f"{FAILURES} consecutive trials failed: {error}")


def _objective(sweep: Sweep, scale: str, worker: str, store: Path) -> Callable[[optuna.Trial], Any]:
    def objective(trial: optuna.Trial) -> float | tuple[float, ...]:
        trial.set_user_attr(WORKER, worker)
        trial.set_user_attr(HOST, socket.gethostname())
        try:
            config = run_config(scale, **{**sweep.fields, **sweep.suggest(trial)})
        except ConfigError as error:
            raise optuna.TrialPruned(f"invalid configuration: {error}") from error
        trial.set_user_attr("run", config.name)
        try:
            run = perform_run(config, store, show_progress=False, on_point=_report(trial, sweep))
        except IlrmError as error:
            trial.set_user_attr(ERROR, str(error))
            raise
        psnr = float(run.history.validation_psnr.dropna().iloc[-1])
        values = {"psnr": psnr, "gmacs": gmacs(config)}
        return tuple(values[name] for name in sweep.objectives)

    return objective


def _report(trial: optuna.Trial, sweep: Sweep) -> Callable[[Progress], None]:
    """Report the validation curve to the pruner; searches for a Pareto front are not pruned."""
    reported: set[int] = set()

    def on_point(progress: Progress) -> None:
        last = progress.history[-1]
        psnr = last.get("validation_psnr", math.nan)
        if len(sweep.objectives) > 1 or math.isnan(psnr) or last["step"] in reported:
            return
        reported.add(last["step"])
        trial.report(psnr, last["step"])
        if trial.should_prune():
            raise optuna.TrialPruned(f"below the median at step {last['step']}")

    return on_point


def gmacs(config: RunConfig) -> float:
    """GMACs per scene of the forward pass."""
    d = config.data
    macs = cost.analytic_macs(config.model, d.context_views, d.image_height, d.image_width)
    return sum(macs.values()) / 1e9


def results(study: optuna.Study, sweep: Sweep) -> pd.DataFrame:
    """One row per ended trial, best first: state, objectives, searched fields, run."""
    rows = []
    for trial in study.get_trials(deepcopy=False, states=ENDED):
        values = dict.fromkeys(sweep.objectives, math.nan)
        values |= dict(zip(sweep.objectives, trial.values or (), strict=False))
        row = {"trial": trial.number, "state": trial.state.name.lower(), **values, **trial.params}
        rows.append({**row, "run": trial.user_attrs.get("run", "-")})
    table = pd.DataFrame(rows)
    by = sweep.objectives[0]
    return table.sort_values(by, ascending=False, na_position="last") if by in table else table


def study_of(sweep: Sweep, table: pd.DataFrame) -> optuna.Study:
    """An in-memory Optuna study of the complete trials in a table from `results`."""
    study = optuna.create_study(directions=[OBJECTIVES[name] for name in sweep.objectives])
    complete = table[table.state == TrialState.COMPLETE.name.lower()].sort_values("trial")
    for row in complete.to_dict("records"):
        study.add_trial(
            create_trial(
                params={name: row[name] for name in sweep.space},
                distributions=sweep.distributions(),
                values=[row[name] for name in sweep.objectives],
                user_attrs={"run": row["run"]},
            )
        )
    return study


def fits(sweep: Sweep, scale: str, table: pd.DataFrame) -> bool:
    """Whether a recorded table belongs to this search, by its hash or, in older records, by its space."""
    if "search" in table:
        return set(table.search) == {sweep.hash(scale)}
    try:
        study_of(sweep, table)
    except (KeyError, ValueError):
        return False
    return True


def importances(study: optuna.Study, objective: int = 0) -> dict[str, float]:
    """Share of the variance of an objective that each searched field explains (fANOVA).

    Empty if fewer than two trials are complete, or if all have the same value.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 2:
        return {}
    try:
        return optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
            target=lambda trial: trial.values[objective],
        )
    except (ValueError, RuntimeError):  # all trials have the same value
        return {}


def _to_json(sweep: Sweep) -> str:
    return json.dumps(asdict(sweep))


def _from_json(text: str) -> Sweep:
    values = json.loads(text)
    return Sweep(**{**values, "objectives": tuple(values["objectives"])})


def main(definition: str, scale: str, trials: str, run_by: str) -> None:
    """Entry point of the worker processes."""
    quiet_optuna()
    sweep = _from_json(definition)
    study = open_sweep(sweep, scale, default_storage(), patient=True)
    work(sweep, scale, study, int(trials), int(run_by))


if __name__ == "__main__":
    main(*sys.argv[1:])
