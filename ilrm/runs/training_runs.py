"""The run store: one folder a run, named by the hash of its configuration.

A folder holds config.json, environment.json, history.csv (the learning curve), per_view.csv (metrics a
target view), model.safetensors and, written last, metrics.json: a run is complete when that exists.
"""

import errno
import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save_model

from ilrm import cost
from ilrm.config import DataConfig, RunConfig
from ilrm.data.batches import dataset_root, held_out_scenes, training_data, validation_batches
from ilrm.errors import ConfigError, RunError
from ilrm.evaluation.baselines import VERSION
from ilrm.evaluation.scoring import evaluate, evaluate_baselines, lpips_missing, summarize
from ilrm.model import ILRM
from ilrm.system.distributed import from_first, processes, wait_for_all
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, write_json
from ilrm.system.paths import RECORDED_RUNS, RUNS
from ilrm.training import checkpoints
from ilrm.training.checkpoints import Progress
from ilrm.training.loop import train
from ilrm.weights.state import read_weights
from ilrm.weights.training_ranges import seen_in_training

UNWRITABLE = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission to write",
    errno.EROFS: "the disk is read-only",
}


@dataclass(frozen=True)
class Run:
    """A complete run, read from its folder."""

    folder: Path

    @cached_property
    def config(self) -> RunConfig:
        return RunConfig.from_dict(_read_json(self.folder / "config.json"))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Summary {method: {metric: {mean, low, high}}} under "summary", and what the run cost."""
        return _read_json(self.folder / "metrics.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        return _read_json(self.folder / "environment.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "history.csv")

    @cached_property
    def per_view(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "per_view.csv", dtype={"scene": str})

    def model(self) -> ILRM:
        """The trained model, on the CPU, ready for inference. Raises WeightsError without its weights.

        A run that differs in its evaluation only has the weights of the run that trained them.
        """
        return read_weights(self.folder).model


def find_run(config: RunConfig, *stores: Path) -> Run | None:
    """The complete run of `config` in the first store that has it, or None."""
    for store in stores or (RUNS,):
        if (store / config.name / "metrics.json").exists():
            return Run(store / config.name)
    return None


def share_done(config: RunConfig, store: Path = RUNS) -> float:
    """How much of a run is done, 0 to 1, by the last point of its learning curve; 1 when it is complete."""
    if find_run(config, store) is not None:
        return 1.0
    try:
        last = (store / config.name / "history.csv").read_text().rstrip().rpartition("\n")[2]
        return int(last.split(",", 1)[0]) / config.train.steps
    except (OSError, ValueError):
        return 0.0


def recorded_runs(base: RunConfig) -> dict[str, Run]:
    """The measured runs of the base model that the project ships, by name; empty if there are none.

    "base" has exactly the configuration `base`; "base, N steps" differ in the length of training only.
    """
    found: dict[str, Run] = {}
    for folder in sorted(RECORDED_RUNS.glob("*/metrics.json")):
        run = Run(folder.parent)
        steps = run.config.train.steps
        if run.config == base:
            found["base"] = run
        elif run.config == replace(base, train=replace(base.train, steps=steps)):
            found[f"base, {steps:,} steps"] = run
    return found


def perform(
    config: RunConfig,
    store: Path = RUNS,
    show_progress: bool = True,
    on_point: Callable[[Progress], None] = lambda progress: None,
) -> Run:
    """Train and evaluate `config`; a complete run is returned as it is, one cut short goes on.

    A run that differs from another in its evaluation only performs that one and evaluates its model. A second
    process that asks for a run in progress waits for it. Under torchrun every process returns when the run
    is complete. Raises RunError where nothing can be written, ConfigError where the paper's recipe is asked
    for without its data.
    """
    if config.scale == "paper" and not config.data.root:
        raise ConfigError(
            "scale=paper trains on RealEstate10K: give root, the folder of its train and test chunks, "
            "and evaluation_index, the path of its index"
        )
    folder = store / config.name
    if from_first(find_run(config, store) is not None):
        return Run(folder)
    try:
        with _locked(folder):
            if from_first(find_run(config, store) is None):
                _perform(config, folder, show_progress, on_point)
        wait_for_all()  # for the first process's evaluation
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise RunError(
            f"{UNWRITABLE[error.errno]} ({error.filename or folder}): mend that and start the run again, "
            "it goes on from its last checkpoint"
        ) from error
    return Run(folder)


def _perform(
    config: RunConfig,
    folder: Path,
    show_progress: bool,
    on_point: Callable[[Progress], None],
) -> None:
    group = processes()
    if group.is_first:
        write_json(folder / "config.json", config.to_dict())
        write_json(folder / "environment.json", describe(group.device))
    if config != config.training:
        trained = perform(config.training, folder.parent, show_progress, on_point)
        if group.is_first:
            _write_csv(folder / "history.csv", trained.history)
            costs = {key: trained.metrics[key] for key in ("training_seconds", "skipped_steps")}
            _evaluate(config, folder, trained.model().to(group.device), costs)
        return

    def record(progress: Progress) -> None:
        _write_csv(folder / "history.csv", pd.DataFrame(progress.history))
        on_point(progress)

    t = config.train
    data = training_data(config.data, t.batch, t.seed, depths=t.depth_weight > 0)
    validation = validation_batches(held_out_scenes(config.data))
    model, progress = train(config, folder, data, validation, show_progress, record)
    if not group.is_first:
        return
    record(progress)
    with atomic_path(folder / "model.safetensors") as beside:
        save_model(model, str(beside))
    seen_in_training(model, data, config.train.steps).write(folder)
    skipped = sum(row["skipped"] for row in progress.history) / len(progress.history)
    costs = {"training_seconds": round(progress.seconds, 1), "skipped_steps": skipped}
    _evaluate(config, folder, model, costs)
    checkpoints.drop(folder)


def _evaluate(config: RunConfig, folder: Path, model: ILRM, costs: dict[str, float]) -> None:
    """The held-out evaluation: per_view.csv, and metrics.json, which completes the run."""
    d = config.evaluation_data
    evaluation = evaluate(model, held_out_scenes(d), config.evaluation)
    per_view = pd.concat([evaluation.per_view, _baselines(d)], ignore_index=True)
    _write_csv(folder / "per_view.csv", per_view)
    size = (d.context_views, d.image_height, d.image_width)
    metrics = {
        "summary": summarize(per_view),
        "depth_spearman_pooled": evaluation.depth_spearman_pooled,
        "lpips_missing": lpips_missing(),
        "scenes": int(per_view.scene.nunique()),
        "parameters": cost.parameters(config.model),
        "macs": sum(cost.analytic_macs(config.model, *size).values()),
        "gaussians": cost.gaussians(config.model, *size),
        **costs,
    }
    write_json(folder / "metrics.json", metrics)


def _baselines(data: DataConfig) -> pd.DataFrame:
    """Rows of the baselines; of procedural scenes they are measured once and kept beside them."""
    if data.root:
        return evaluate_baselines(held_out_scenes(data))
    lpips = "" if lpips_missing() is None else "-without-lpips"
    path = dataset_root(data) / f"baselines_{VERSION}_{data.context_views}v{lpips}.csv"
    if not path.exists():
        _write_csv(path, evaluate_baselines(held_out_scenes(data)))
    return pd.read_csv(path, dtype={"scene": str})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, waiting for another process of this host that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not processes().is_first:
        yield  # the first process of a torchrun group holds the lock for all
        return
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} is being run by another process: waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): remove the folder and run again"
        ) from error
