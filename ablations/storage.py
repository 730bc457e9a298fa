"""Where queues and sweeps live: an Optuna journal file on one host, PostgreSQL for several hosts."""

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

HEARTBEAT = 15  # seconds between signs of life of a trial in a database
GRACE = 60  # seconds without one after which another worker takes the trial over
CLAIMING = timedelta(seconds=60)  # in which a worker that claims a trial has put its name on it
RETRIES = 5  # how often a trial whose worker died is taken over


def quiet_optuna() -> None:
    """Keep Optuna's logs and experimental warnings out of what a command prints."""
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(where: str) -> BaseStorage:
    """A journal file's path, or a database URL (`postgresql://user:password@host/name`).

    Raises StudyError where it cannot be opened.
    """
    if "://" not in where:
        return _open_journal(Path(where))
    url = where.replace("postgresql://", "postgresql+pg8000://", 1)  # the driver that we install
    try:
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=_enqueue_again,
        )
    except Exception as error:  # whatever the driver raises: wrong host, password, database
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
            f"storage {path} cannot be opened ({error.strerror}): give a file's path"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"storage {path} is no journal, or damaged ({error}): move it away; runs that are complete are "
            "safe in the run store"
        ) from error
    return storage


def _check_journal(path: Path) -> None:
    """Raise ValueError if a file begins as no journal does: Optuna would append to it."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            first = json.loads(file.readline())
        if not isinstance(first, dict) or "op_code" not in first:
            raise ValueError("its first line is no operation")


def open_trials(name: str, storage: BaseStorage, **options: Any) -> optuna.Study:
    """The Optuna study of that name, made at the first call; options as optuna.create_study's."""
    trials = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)
    if trials.user_attrs.get(SEVERAL_HOSTS) is None:
        trials.set_user_attr(SEVERAL_HOSTS, isinstance(storage, RDBStorage))
    return trials


def of_another_host(trials: optuna.Study, host: str) -> bool:
    """Whether a trial was taken by another host than this; a journal is one host's, whatever its name."""
    return bool(trials.user_attrs.get(SEVERAL_HOSTS)) and host != socket.gethostname()


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


# On one host a worker holds a file lock for as long as it lives: the kernel frees it at any death. A journal
# has no heartbeat of its own, and the lock tells at once.
LOCKS = "workers"
WORKER, DEATHS = "worker", "deaths"  # attributes of a trial
SEVERAL_HOSTS = "several_hosts"  # attribute of a study


@contextmanager
def sign_of_life() -> Iterator[str]:
    """This worker's name, HOST/ID, with a lock that is held while the worker lives."""
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
    """Whether a worker lives, by its lock; those of other hosts are taken to: their heartbeat decides."""
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
    Path(file.name).unlink(missing_ok=True)  # left over by a worker that was killed
    return True


def recover(trials: optuna.Study) -> None:
    """Trials whose worker died wait again: by heartbeat in a database, by lock on this host."""
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
    """Whether a running trial's worker lives, or has only just claimed it."""
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
