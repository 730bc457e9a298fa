"""Records: files of complete results, copied from the run store for the reports, and shipped."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from ilrm.config import RunConfig
from ilrm.errors import RunError
from ilrm.runs.store import CONFIG, ENVIRONMENT, HISTORY, METRICS, PER_VIEW, Run
from ilrm.system.files import atomic_folder
from ilrm.system.paths import CHECKOUT, RECORDS
from ilrm.weights.state import FILE as WEIGHTS
from ilrm.weights.training_ranges import FILE as SEEN

RUNS = RECORDS / "runs"
EVALUATIONS = RECORDS / "evaluations"
BENCHMARKS = RECORDS / "benchmarks"
TRADEOFFS = RECORDS / "tradeoffs"
STUDIES = RECORDS / "studies"
SWEEPS = RECORDS / "sweeps"
UNSEEN_VIEWS = RECORDS / "unseen_views"


def check_recordable() -> None:
    """Raise RunError if nothing can be recorded. Call it before the work whose result is to be recorded."""
    if CHECKOUT is None:
        raise RunError(
            "records belong to a checkout of this project, and this is an installed package: run the command "
            "in a checkout"
        )


def record(folder: Path, names: Sequence[str], records: Path) -> Path:
    """Copy these files of a result's folder to the records; returns the copy, which replaces an older one."""
    target = records / folder.name
    with atomic_folder(target) as beside:
        for name in names:
            shutil.copyfile(folder / name, beside / name)
    return target


def record_run(run: Run, records: Path = RUNS) -> Path:
    """Copy a training run to the records, with its weights rounded to half precision."""
    target = records / run.folder.name
    with atomic_folder(target) as beside:
        for name in (CONFIG, ENVIRONMENT, METRICS, HISTORY, PER_VIEW, SEEN):
            shutil.copyfile(run.folder / name, beside / name)
        weights = {name: value.half() for name, value in run.model().state_dict().items()}
        (beside / WEIGHTS).write_bytes(save(weights))
    return target


def recorded(records: Path, holding: str) -> Iterator[Path]:
    """The recorded folders that hold a file of this name, in the order of their names."""
    for path in sorted(records.glob(f"*/{holding}")):
        yield path.parent


def recorded_runs(base: RunConfig) -> dict[str, Run]:
    """The recorded runs of the base model, by name; empty if there are none.

    "base" has exactly the configuration `base`; "base, N steps" differ in the length of training only.
    """
    found: dict[str, Run] = {}
    for folder in recorded(RUNS, METRICS):
        run = Run(folder)
        steps = run.config.train.steps
        if run.config == base:
            found["base"] = run
        elif run.config == replace(base, train=replace(base.train, steps=steps)):
            found[f"base, {steps:,} steps"] = run
    return found
