"""A training run in three stages: train, evaluate, write.

Its folder is named by the hash of its configuration and holds config.json, environment.json, history.csv
(the learning curve), per_view.csv (metrics per target view), model.safetensors, seen.json and, written last,
metrics.json.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ilrm import cost
from ilrm.config import RunConfig
from ilrm.data.batches import held_out_scenes, training_data, validation_batches
from ilrm.errors import ConfigError, RunError
from ilrm.evaluation.scoring import evaluate, lpips_missing
from ilrm.evaluation.summary import summarize
from ilrm.model import ILRM
from ilrm.runs.baseline_rows import baseline_rows
from ilrm.runs.store import (
    CONFIG,
    ENVIRONMENT,
    HISTORY,
    METRICS,
    PER_VIEW,
    Run,
    find_run,
    lock,
    unwritable_explained,
    write_csv,
)
from ilrm.system.distributed import from_first, processes, wait_for_all
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, write_json
from ilrm.system.leftovers import clean
from ilrm.system.paths import RUNS
from ilrm.training import checkpoints
from ilrm.training.checkpoints import Progress
from ilrm.training.loop import train
from ilrm.weights.state import FILE, write_state
from ilrm.weights.training_ranges import training_ranges

# parts of the environment on which the last bits of a result depend
DECISIVE = ("device", "threads", "processes", "attention")

OnPoint = Callable[[Progress], None]  # called with every new point of the learning curve


@dataclass(frozen=True)
class Trained:
    """Result of the first stage: a model, and the cost of its training."""

    model: ILRM
    costs: dict[str, float]  # training_seconds, skipped_steps


def perform_run(
    config: RunConfig,
    store: Path = RUNS,
    show_progress: bool = True,
    on_point: OnPoint = lambda progress: None,
) -> Run:
    """Train and evaluate `config`; a complete run is returned as it is, one that was cut short resumes.

    A run that differs from another only in its evaluation performs that one first and evaluates its model. A
    second process that asks for a run in progress waits for it. Under torchrun every process returns when the
    run is complete. Raises RunError if nothing can be written, and ConfigError if the data of the paper's
    recipe is not given.
    """
    if config.scale == "paper" and not config.data.root:
        raise ConfigError(
            "scale=paper trains on RealEstate10K: give root, the folder of its train and test chunks, "
            "and evaluation_index, the path of its index"
        )
    folder = store / config.name
    if from_first(find_run(config, store) is not None):
        if processes().is_first:
            _tidy(folder)
        return Run(folder)
    with unwritable_explained(folder):
        if processes().is_first:
            with lock(folder):  # the first process holds it for all
                _perform(config, store, show_progress, on_point)
        else:
            _perform(config, store, show_progress, on_point)
        wait_for_all()  # for the first process's evaluation
    return Run(folder)


def _perform(config: RunConfig, store: Path, show_progress: bool, on_point: OnPoint) -> None:
    if from_first(find_run(config, store) is not None):
        return  # another process completed it in the meantime
    folder, first = store / config.name, processes().is_first
    if first:
        write_json(folder / CONFIG, config.to_dict())
        write_json(folder / ENVIRONMENT, _environment(folder))
    if config == config.training:
        trained = _train(config, folder, show_progress, on_point)
    else:
        trained = _trained_by(
            perform_run(config.training, store, show_progress, on_point), folder, first
        )
    if first:
        _write(folder, *_evaluate(config, trained))
        checkpoints.drop(folder)


def _environment(folder: Path) -> dict[str, Any]:
    """The environment. If a run resumes in a different one, a line says so, and the earlier one is kept,
    since another order of summation gives other weights.
    """
    before = now = describe(processes().device)
    with suppress(RunError):  # it is missing or damaged
        before = Run(folder).environment
    changed = {name: before[name] for name in DECISIVE if before.get(name, now[name]) != now[name]}
    if not changed or not checkpoints.latest_step(folder):
        return now
    words = ", ".join(f"{name}: {value}, now {now[name]}" for name, value in changed.items())
    print(
        f"{folder.name} resumes in another environment ({words}): the result will not be equal to the bit to "
        "that of an undisturbed run",
        flush=True,
    )
    return {**now, "earlier": [*before.get("earlier", []), changed]}


def _tidy(folder: Path) -> None:
    """Remove the files of a process that was killed at the end of a run that is complete."""
    clean(folder)
    if checkpoints.latest_step(folder):
        with suppress(OSError), lock(folder):
            checkpoints.drop(folder)


def _train(config: RunConfig, folder: Path, show_progress: bool, on_point: OnPoint) -> Trained:
    """First stage: train the model; write its learning curve and weights."""

    def record(progress: Progress) -> None:
        write_csv(folder / HISTORY, pd.DataFrame(progress.history))
        on_point(progress)

    t = config.train
    data = training_data(config.data, t.batch, t.seed, depths=t.depth_weight > 0)
    validation = validation_batches(held_out_scenes(config.data))
    model, progress = train(config, folder, data, validation, show_progress, record)
    if processes().is_first:
        record(progress)
        with atomic_path(folder / FILE) as beside:
            write_state(model, beside)
        training_ranges(model, data, t.steps).write(folder)
    skipped = sum(row["skipped"] for row in progress.history) / len(progress.history)
    return Trained(
        model, {"training_seconds": round(progress.seconds, 1), "skipped_steps": skipped}
    )


def _trained_by(run: Run, folder: Path, first: bool) -> Trained:
    """First stage of a run that differs only in its evaluation: the other run's model and curve."""
    if first:
        write_csv(folder / HISTORY, run.history)
    costs = {key: run.metrics[key] for key in ("training_seconds", "skipped_steps")}
    return Trained(run.model().to(processes().device), costs)


def _evaluate(config: RunConfig, trained: Trained) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Second stage: rows per target view, and the metrics that summarise them."""
    d = config.evaluation_data
    evaluation = evaluate(trained.model, held_out_scenes(d), config.evaluation)
    per_view = pd.concat([evaluation.per_view, baseline_rows(d)], ignore_index=True)
    size = (d.context_views, d.image_height, d.image_width)
    metrics = {
        "summary": summarize(per_view),
        "depth_spearman_pooled": evaluation.depth_spearman_pooled,
        "lpips_missing": lpips_missing(),
        "scenes": int(per_view.scene.nunique()),
        "parameters": cost.parameters(config.model),
        "macs": sum(cost.analytic_macs(config.model, *size).values()),
        "gaussians": cost.gaussians(config.model, *size),
        **trained.costs,
    }
    return per_view, metrics


def _write(folder: Path, per_view: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """Third stage: write the rows, then the metrics, which complete the run."""
    write_csv(folder / PER_VIEW, per_view)
    write_json(folder / METRICS, metrics)
