"""Storage of queues and sweeps: an Optuna journal file for one host, PostgreSQL for several hosts."""

import fcntl
import json
import logging
import os
import socket
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import (
    BaseStorage,
    InMemoryStorage,
    JournalStorage,
    RDBStorage,
    fail_stale_trials,
)
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from ablations.arguments import without_password
from ablations.definitions import StudyError
from ilrm.system.files import is_file, is_folder
from ilrm.system.paths import RUNS

DATABASES = ("postgresql", "postgres", "postgresql+pg8000")  # URL schemes, all for the same driver
START = b'{"op_code"'  # first bytes of a journal
HEARTBEAT = 15  # seconds between heartbeats of a trial in a database
# seconds without a heartbeat after which another worker takes over the trial: more than a short network cut
GRACE = 120
CLAIMING = 60  # seconds that a worker has to store its name in a claimed trial
TABLES = 0x694C524D  # key of the database lock under which tables are created
RETRIES = 5  # number of times that a trial whose worker died is enqueued again


def quiet_optuna() -> None:
    """Silence Optuna's logs and experimental warnings, and SQLAlchemy's tracebacks of connections that were
    cut by a restart of the database, which `PatientStorage` reports in one line.
    """
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def address(where: str) -> str:
    """The address of a storage that is valid in any working folder."""
    return where if "://" in where else str(Path(where).absolute())


def open_storage(where: str, create: bool = True, patient: bool = False) -> BaseStorage:
    """Open a storage, given the path of a journal file or a database URL
    (`postgresql://user:password@host/name`).

    Without `create`, nothing is written, and a storage that is missing is an empty one. `patient`: wait for
    a database that does not answer. Raises StudyError if it cannot be opened.
    """
    scheme, separator, rest = where.partition("://")
    if separator and scheme not in DATABASES:
        raise StudyError(
            f"storage {without_password(where)} is not supported: give a journal file, or "
            "postgresql://user:password@host/name"
        )
    if separator:
        return _open_database(f"postgresql://{rest}", create, patient)
    if not create and not is_file(Path(where)) and not is_folder(Path(where)):
        return InMemoryStorage()
    return _open_journal(Path(where), create)


def _open_database(where: str, create: bool, patient: bool) -> BaseStorage:
    import sqlalchemy

    from ablations.database import PatientStorage, reason, wait_out

    # pg8000 is the driver that is installed with this project
    url = where.replace("postgresql://", "postgresql+pg8000://", 1)

    def opened() -> BaseStorage:
        if not create:
            engine = sqlalchemy.create_engine(url)
            with engine.connect() as connection:
                if not sqlalchemy.inspect(connection).has_table("studies"):
                    return InMemoryStorage()
        with _alone(url) if create else nullcontext():
            return PatientStorage(
                url,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_enqueue_again,
                skip_table_creation=not create,
            )

    try:
        return wait_out(opened, url, lambda: None) if patient else opened()
    except StudyError:
        raise
    except Exception as error:  # any driver error: wrong host, password or database
        raise StudyError(
            f"storage {without_password(where)} cannot be opened ({reason(error, where)}): check the address "
            "and that the database runs"
        ) from error


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Admit one process of all that use the database: the first creates Optuna's tables, and two processes
    that created them at once would both fail.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:  # closing it releases the lock
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({TABLES})"))
        yield


def _open_journal(path: Path, create: bool) -> BaseStorage:
    try:
        if create and path.parent == RUNS:
            RUNS.mkdir(parents=True, exist_ok=True)
        _check_journal(path)
        if create:
            _set_tail_aside(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
        storage.get_all_studies()
    except OSError as error:
        raise StudyError(
            f"storage {path} cannot be opened ({error.strerror}): give the path of a file"
        ) from error
    except (
        ValueError, LookupError, TypeError, AttributeError, AssertionError,
        RecursionError,  # of JSON that is nested too deeply
    ) as error:  # fmt: skip
        raise StudyError(
            f"storage {path} is not a journal or is damaged ({error}): move it away; complete runs are safe "
            "in the run store"
        ) from error
    return storage


def _check_journal(path: Path) -> None:
    """Raise ValueError if a file does not start like a journal, as Optuna would append to any file."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            line = file.readline()
        if not line.endswith(b"\n") and (line.startswith(START) or START.startswith(line)):
            return  # cut short in its first line
        first = json.loads(line)
        if not isinstance(first, dict) or "op_code" not in first:
            raise ValueError("its first line is not a journal entry")


def _set_tail_aside(path: Path) -> None:
    """Move what follows the last whole line of a journal into a file of its own, with a line that says so.

    A full disk or a power failure cuts the last line short. What is appended to it later would be lost, and
    with it the journal.
    """
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()  # no process is writing a line
    try:
        content = path.read_bytes()
        whole, _, tail = content.rpartition(b"\n")
        if not tail:
            return
        aside = path.with_name(f"{path.name}.tail")
        with aside.open("ab") as file:
            file.write(tail + b"\n")
            os.fsync(file.fileno())
        with path.open("r+b") as journal:
            journal.truncate(len(whole) + 1 if whole else 0)
            os.fsync(journal.fileno())
        print(
            f"the last line of {path} was cut short: {len(tail)} bytes are set aside in {aside}",
            file=sys.stderr,
        )
    finally:
        lock.release()


def open_trials(
    name: str, storage: BaseStorage, create: bool = True, **options: Any
) -> optuna.Study:
    """Open an Optuna study by name; the first call creates it with `options` of optuna.create_study.

    Without `create`, a study that is missing is an empty one in memory.
    """
    if not create:
        known = {study.study_name for study in storage.get_all_studies()}
        if name in known:
            return optuna.load_study(study_name=name, storage=storage)
        return optuna.create_study(study_name=name, **options)
    trials = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)
    if trials.user_attrs.get(SEVERAL_HOSTS) is None:
        trials.set_user_attr(SEVERAL_HOSTS, isinstance(storage, RDBStorage))
    return trials


def of_another_host(trials: optuna.Study, host: str) -> bool:
    """Whether a trial was claimed by another host. Journals belong to one host, even if its name changes."""
    return bool(trials.user_attrs.get(SEVERAL_HOSTS)) and host != socket.gethostname()


# Journals have no heartbeat. Instead, a worker holds a file lock while it is alive, which the kernel releases
# whenever the process ends, so that other processes on the host notice immediately.
LOCKS = "workers"
WORKER, DEATHS = "worker", "deaths"  # attributes of a trial
SEVERAL_HOSTS = "several_hosts"  # attribute of a study
# when this process first saw a claimed trial without a worker's name, by study and number
_nameless: dict[tuple[str, int], float] = {}


@contextmanager
def sign_of_life() -> Iterator[str]:
    """Yield this worker's name, HOST/ID, and hold its lock while the worker is alive."""
    name = uuid.uuid4().hex[:8]
    path = RUNS / LOCKS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
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
        with (RUNS / LOCKS / name).open(encoding="utf-8") as file:
            return not _free(file)
    except FileNotFoundError:
        return False


def _free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def recover(trials: optuna.Study) -> None:
    """Enqueue the trials again whose worker died, by its heartbeat in a database or its lock on this host."""
    fail_stale_trials(trials)
    for trial in trials.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_held(trials, trial):
            continue
        try:
            trials.tell(trial.number, state=TrialState.FAIL)
        except (RuntimeError, ValueError):
            continue  # another process was faster
        lock = RUNS / LOCKS / str(trial.user_attrs.get(WORKER, "")).rpartition("/")[2]
        if lock.is_file():  # left behind by a killed worker
            lock.unlink(missing_ok=True)
        _enqueue_again(trials, trial)


def run_one(
    trials: optuna.Study,
    objective: Callable[[optuna.Trial], Any],
    catch: tuple[type[Exception], ...],
) -> None:
    """Claim a trial and run it. Errors of the types in `catch` fail the trial alone.

    A trial that another worker has taken over in the meantime, because this one's heartbeat was missing, is
    left to that worker.
    """
    try:
        trials.optimize(objective, n_trials=1, catch=catch)
    except optuna.exceptions.UpdateFinishedTrialError:
        return
    except ValueError as error:
        if not str(error).startswith("Cannot tell a "):  # Optuna has no type for it
            raise


def is_held(trials: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether the worker of a running trial is alive, or has only just claimed the trial."""
    worker = trial.user_attrs.get(WORKER)
    if worker is not None:
        return is_alive(trials, worker)
    # not the trial's own start time, which is by the clock of another host that may be minutes off
    key = trials.study_name, trial.number
    return time.monotonic() - _nameless.setdefault(key, time.monotonic()) < CLAIMING


def _enqueue_again(trials: optuna.Study, trial: FrozenTrial) -> None:
    attrs = {name: value for name, value in trial.user_attrs.items() if name != WORKER}
    attrs[DEATHS] = attrs.get(DEATHS, 0) + 1
    if attrs[DEATHS] <= RETRIES:
        parameters = trial.system_attrs.get("fixed_params") or trial.params
        trials.enqueue_trial(parameters, user_attrs=attrs)
