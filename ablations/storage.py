"""Storage of queues and sweeps: an Optuna journal file for one host, PostgreSQL for several hosts."""

import fcntl
import json
import socket
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    fail_stale_trials,
)
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ablations.study import StudyError
from ilrm.system.paths import RUNS

HEARTBEAT = 15  # seconds between heartbeats of a trial in a database
GRACE = 60  # seconds without a heartbeat after which another worker takes over the trial
CLAIMING = timedelta(seconds=60)  # time limit for a worker to store its name in a claimed trial
RETRIES = 5  # number of times that a trial whose worker died is enqueued again


def quiet_optuna() -> None:
    """Keep Optuna's logs and experimental warnings out of what a command prints."""
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(where: str) -> BaseStorage:
    """Open a storage, given the path of a journal file or a database URL
    (`postgresql://user:password@host/name`).

    Raises StudyError if it cannot be opened.
    """
    if "://" not in where:
        return _open_journal(Path(where))
    # pg8000 is the driver that is installed with this project
    url = where.replace("postgresql://", "postgresql+pg8000://", 1)
    try:
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=_enqueue_again,
        )
    except Exception as error:  # any driver error: wrong host, password or database
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"storage {_without_password(where)} cannot be opened ({reason}): check the address and that "
            "the database runs"
        ) from error


def _open_journal(path: Path) -> BaseStorage:
    try:
        if path.parent == RUNS:
            RUNS.mkdir(parents=True, exist_ok=True)
        _check_journal(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
        storage.get_all_studies()
    except OSError as error:
        raise StudyError(
            f"storage {path} cannot be opened ({error.strerror}): give the path of a file"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"storage {path} is not a journal or is damaged ({error}): move it away; complete runs are safe "
            "in the run store"
        ) from error
    return storage


def _check_journal(path: Path) -> None:
    """Raise ValueError if a file does not start like a journal, as Optuna would append to any file."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            first = json.loads(file.readline())
        if not isinstance(first, dict) or "op_code" not in first:
            raise ValueError("its first line is not a journal entry")


def open_trials(name: str, storage: BaseStorage, **options: Any) -> optuna.Study:
    """Open an Optuna study by name; the first call creates it with `options` of optuna.create_study."""
    trials = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)
    if trials.user_attrs.get(SEVERAL_HOSTS) is None:
        trials.set_user_attr(SEVERAL_HOSTS, isinstance(storage, RDBStorage))
    return trials


def of_another_host(trials: optuna.Study, host: str) -> bool:
    """Whether a trial was claimed by another host. Journals belong to one host, even if its name changes."""
    return bool(trials.user_attrs.get(SEVERAL_HOSTS)) and host != socket.gethostname()


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


# Journals have no heartbeat. Instead, a worker holds a file lock while it is alive, which the kernel releases
# whenever the process ends, so that other processes on the host notice immediately.
LOCKS = "workers"
WORKER, DEATHS = "worker", "deaths"  # attributes of a trial
SEVERAL_HOSTS = "several_hosts"  # attribute of a study


@contextmanager
def sign_of_life() -> Iterator[str]:
    """Yield this worker's name, HOST/ID, and hold its lock while the worker is alive."""
    name = uuid.uuid4().hex[:8]
    path = RUNS / LOCKS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield f"{socket.gethostname()}/{name}"
        finally:
            path.unlink(missing_ok=True)


def is_alive(trials: optuna.Study, worker: str) -> bool:
    """Whether a worker is alive, according to its lock; True for other hosts, which have a heartbeat."""
    host, _, name = worker.rpartition("/")
    if of_another_host(trials, host):
        return True
    try:
        with (RUNS / LOCKS / name).open() as file:
            return not _free(file)
    except FileNotFoundError:
        return False


def _free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    Path(file.name).unlink(missing_ok=True)  # left behind by a killed worker
    return True


def recover(trials: optuna.Study) -> None:
    """Enqueue trials again whose worker died, by the heartbeat in a database or the lock on this host."""
    fail_stale_trials(trials)
    for trial in trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_held(trials, trial):
            continue
        try:
            trials.tell(trial.number, state=TrialState.FAIL)
        except (RuntimeError, ValueError):
            continue  # another process was faster
        _enqueue_again(trials, trial)


def is_held(trials: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether the worker of a running trial is alive, or has only just claimed the trial."""
    worker = trial.user_attrs.get(WORKER)
    if worker is not None:
        return is_alive(trials, worker)
    return trial.datetime_start is None or datetime.now() - trial.datetime_start < CLAIMING


def _enqueue_again(trials: optuna.Study, trial: FrozenTrial) -> None:
    attrs = {name: value for name, value in trial.user_attrs.items() if name != WORKER}
    attrs[DEATHS] = attrs.get(DEATHS, 0) + 1
    if attrs[DEATHS] <= RETRIES:
        parameters = trial.system_attrs.get("fixed_params") or trial.params
        trials.enqueue_trial(parameters, user_attrs=attrs)
