"""Handling of Ctrl-C, SIGTERM and SIGHUP: an orderly end instead of a traceback or silence."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The process was asked to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class StopRequest:
    """Whether this process was asked to stop."""

    number: int | None = None  # number of the signal

    def obey(self) -> None:
        """Raise Stopped if it was asked to stop."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Within the block, the signals raise Stopped at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled_by(stop):
        yield


@contextmanager
def stopping_between_steps() -> Iterator[StopRequest]:
    """Within the block, the first signal only sets the request, so that a step is completed and saved; the
    second one raises Stopped.
    """
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.obey()
        request.number = number

    with _handled_by(note):
        yield request


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals in this way; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)
