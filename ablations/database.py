"""Storage in a database that survives restarts of its server: calls wait until the server answers again."""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError, InterfaceError

from ablations.arguments import without_password
from ablations.definitions import StudyError

PATIENCE = 600.0  # seconds of waiting for a server that does not answer
PAUSE = 1.0  # seconds between two attempts
# PostgreSQL's error codes of a server that stops, crashed or starts, or that has too many connections
OUTAGES = ("57P01", "57P02", "57P03", "53300")

Value = TypeVar("Value")


def reason(error: BaseException, url: str) -> str:
    """The first line of a driver's error message, without the user's password."""
    message = next(iter(str(error).splitlines()), "") or type(error).__name__
    password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    for secret in {password, unquote(password)} - {""}:
        message = message.replace(secret, "***")
    return message


def is_outage(error: BaseException) -> bool:
    """Whether an error means that the server cannot be reached now, rather than that the call is wrong."""
    return any(_is_outage(cause) for cause in _causes(error))


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, OSError | InterfaceError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    fields = error.orig.args[0] if error.orig is not None and error.orig.args else None
    code = str(fields.get("C", "")) if isinstance(fields, dict) else ""
    return error.connection_invalidated or code in OUTAGES or code.startswith("08")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def wait_out(call: Callable[[], Value], url: str, on_outage: Callable[[], None]) -> Value:
    """Return the result of a call, which is repeated while the server cannot be reached.

    `on_outage` is called before each repetition. Raises StudyError after `PATIENCE` seconds, and whatever
    else the call raises.
    """
    since = None
    while True:
        try:
            value = call()
        except Exception as error:
            if not is_outage(error):
                raise
            if since is None:
                since = time.monotonic()
                print(f"{without_password(url)} does not answer: waiting for it", file=sys.stderr)
            elif time.monotonic() - since > PATIENCE:
                raise StudyError(
                    f"storage {without_password(url)} has not answered for {PATIENCE / 60:.0f} minutes: "
                    "start the database and give the same command again; complete runs are safe"
                ) from error
            on_outage()
            time.sleep(PAUSE)
        else:
            if since is not None:
                print(f"{without_password(url)} answers again", file=sys.stderr)
            return value


def _patient(name: str) -> Callable[..., Any]:
    """Wrap a method of RDBStorage so that it waits for the server."""
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def call(self: "PatientStorage", *args: Any, **kwargs: Any) -> Any:
        return self.wait_out(lambda: method(self, *args, **kwargs))

    return call


class PatientStorage(RDBStorage):
    """RDBStorage whose calls wait while the server restarts.

    A trial that was about to be claimed or enqueued when the server stopped may be left claimed, or be
    enqueued twice; the queue recovers from both.
    """

    def __init__(self, url: str, **options: Any):
        self._answered = float("-inf")  # when the last outage ended
        super().__init__(url, engine_kwargs={"pool_pre_ping": True}, **options)

    def wait_out(self, call: Callable[[], Value]) -> Value:
        """Return the result of a call that uses this storage; see the function of the same name."""
        return wait_out(call, self.url, self._start_anew)

    def _start_anew(self) -> None:
        """Drop all connections of this process: none survives a restart of the server."""
        self._answered = time.monotonic()
        self.scoped_session.remove()
        self.engine.dispose()

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Do as RDBStorage does; a state that was stored before the connection broke is not an error."""
        attempts = 0

        def call() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                return RDBStorage.set_trial_state_values(self, trial_id, state, values)
            except UpdateFinishedTrialError:
                if attempts > 1 and self.get_trial(trial_id).state is state:
                    return True
                raise

        return self.wait_out(call)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Return no trials just after an outage, during which no worker could send its heartbeat."""
        assert self.grace_period is not None
        stale = self.wait_out(lambda: RDBStorage._get_stale_trial_ids(self, study_id))
        return [] if time.monotonic() - self._answered < self.grace_period else stale


# all other methods that Optuna calls on an RDBStorage
for _name in (
    "create_new_study",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "get_all_studies",
    "_create_new_trial",
    "_set_trial_param",
    "get_trial_id_from_study_id_trial_number",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "get_trial",
    "_get_trials",
    "_get_best_trial_id",
    "record_heartbeat",
):
    setattr(PatientStorage, _name, _patient(_name))
