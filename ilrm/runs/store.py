"""The run store: one folder per run, complete once its metrics.json is there.

Folders of training runs, of evaluations and of benchmarks hold files of the same names, read here.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ilrm.config import RunConfig
from ilrm.errors import ConfigError, RunError
from ilrm.model import ILRM
from ilrm.system.files import atomic_path
from ilrm.system.json_files import read_json
from ilrm.system.paths import RUNS
from ilrm.system.tables import read_table
from ilrm.weights.state import read_weights

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.json"
PER_VIEW, HISTORY = "per_view.csv", "history.csv"

AGAIN = "remove the folder and run again"

UNWRITABLE = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission to write",
    errno.EROFS: "the disk is read-only",
}


@dataclass(frozen=True)
class RunFolder:
    """The files of a folder in the run store. Raises RunError on a file that cannot be read."""

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """`config.json`: everything that the result depends on."""
        return _read_json(self.folder / CONFIG)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Summary {method: {metric: {mean, low, high}}} under "summary", and other measurements."""
        path = self.folder / METRICS
        metrics = _read_json(path)
        summary = metrics.get("summary")
        whole = isinstance(summary, dict) and all(isinstance(v, dict) for v in summary.values())
        if not whole or not summary:
            raise RunError(f"{path} holds no summary of metrics: {AGAIN}")
        return metrics

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, commit, device, date."""
        return _read_json(self.folder / ENVIRONMENT)

    @cached_property
    def per_view(self) -> pd.DataFrame:
        """One row per scene, target frame and method, as `ilrm.evaluation.scoring.Evaluation.per_view`."""
        return _read_rows(self.folder / PER_VIEW, "scene", "method", "psnr")

    @property
    def is_complete(self) -> bool:
        """Whether the last file has been written."""
        return (self.folder / METRICS).exists()


@dataclass(frozen=True)
class Run(RunFolder):
    """A training run."""

    @cached_property
    def config(self) -> RunConfig:
        """The run's configuration, whose hash names the folder."""
        try:
            config = RunConfig.from_dict(self.about)
        except ConfigError as error:
            raise RunError(f"{self.folder / CONFIG}: {error}: {AGAIN}") from error
        if config.name != self.folder.name:
            raise RunError(f"{self.folder / CONFIG} is the configuration of {config.name}: {AGAIN}")
        return config

    @cached_property
    def history(self) -> pd.DataFrame:
        """The learning curve: one row per logged step."""
        return _read_rows(self.folder / HISTORY, "step")

    def model(self) -> ILRM:
        """The trained model, on the CPU, ready for inference. Raises WeightsError without its weights.

        A run that differs only in its evaluation has the weights of the run that trained its model.
        """
        return read_weights(self.folder).model


def find_run(config: RunConfig, *stores: Path) -> Run | None:
    """The complete run of `config` in the first store that has it, or None."""
    for store in stores or (RUNS,):
        if (run := Run(store / config.name)).is_complete:
            return run
    return None


def share_done(config: RunConfig, store: Path = RUNS) -> float:
    """The share of a run that is done, 0 to 1, by the last point of its learning curve."""
    if find_run(config, store) is not None:
        return 1.0
    try:
        last = (
            (store / config.name / HISTORY).read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
        )
        return int(last.split(",", 1)[0]) / config.train.steps
    except (OSError, ValueError):
        return 0.0


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, waiting for another process of this host that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    try:  # a link is not followed, and nothing is written
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise RunError(f"{path} is a link: remove it") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} is being run by another process: waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def unwritable_explained(folder: Path) -> Iterator[None]:
    """Raise RunError if the disk refuses what is written to a run's folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise RunError(
            f"{UNWRITABLE[error.errno]} ({error.filename or folder}): fix that and start the run again, "
            "it resumes from its last checkpoint"
        ) from error


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table with six significant digits, complete or not at all."""
    with atomic_path(path) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


def _read_json(path: Path) -> dict[str, Any]:
    value = read_json(path, RunError, AGAIN)
    if not isinstance(value, dict):
        raise RunError(f"{path} is not an object: {AGAIN}")
    return value


def _read_rows(path: Path, *columns: str) -> pd.DataFrame:
    table = read_table(path)
    missing = [name for name in columns if name not in table]
    if missing or table.empty:
        raise RunError(f"{path} has no {', '.join(missing) or 'rows'}: {AGAIN}")
    return table
