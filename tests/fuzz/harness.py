"""Runs readers on mutated files and keeps every input that makes one fail with a foreign exception."""

import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ilrm.errors import IlrmError
from tests.fuzz.mutations import Change, changes, mutated
from tests.fuzz.targets import Target, quietly

SECONDS = 20  # of CPU time for one input; a valid one takes milliseconds
MEMORY = 4 << 30  # bytes of address space beyond those at the start
BATCH = 500  # inputs for each seed


@dataclass
class Result:
    """What became of the inputs of a target."""

    target: str
    inputs: int = 0
    read: int = 0
    refused: int = 0
    foreign: list[str] = field(
        default_factory=list
    )  # "Exception at file:line: message", one of each kind
    seconds: float = 0.0


class TooSlowError(Exception):
    """An input that takes longer than `SECONDS`."""


def fuzz(target: Target, inputs: int, seed: int, keep: Path | None = None) -> Result:
    """Give a target this many mutated inputs. Those that fail are shrunk and copied to `keep`."""
    result, start, part = Result(target.name), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(), _limits():
        warnings.simplefilter("ignore")
        folder = Path(name) / "files"
        folder.mkdir()
        files = target.build(folder)
        contents = [file.read_bytes() for file in files]
        quietly(target.read, folder)  # the valid files are read
        while result.inputs < inputs:
            count = min(BATCH, inputs - result.inputs)
            _batch(
                target, folder, list(zip(files, contents, strict=True)), result, count, seed + part
            )
            if result.foreign and keep is not None:
                shutil.copytree(folder, keep / f"{target.name}-{seed + part}", dirs_exist_ok=True)
            for file, content in zip(files, contents, strict=True):
                file.write_bytes(content)
            part += 1
    result.seconds = time.monotonic() - start
    return result


def _batch(
    target: Target,
    folder: Path,
    files: list[tuple[Path, bytes]],
    result: Result,
    count: int,
    seed: int,
) -> None:
    known = set(result.foreign)

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(st.integers(0, len(files) - 1), changes(target.structured))
    def check(number: int, chosen: list[Change]) -> None:
        for i, (file, content) in enumerate(files):
            file.write_bytes(mutated(content, chosen) if i == number else content)
        result.inputs += 1
        try:
            with _within(SECONDS):
                quietly(target.read, folder)
            result.read += 1
        except IlrmError as error:
            result.refused += 1
            if "\n" in str(error):
                _foreign(f"IlrmError of several lines: {str(error)!r:.200}", known)
        except Exception as error:
            _foreign(_place(error), known)

    try:
        check()
    except AssertionError as error:
        result.foreign.append(str(error.args[0]))


def _foreign(what: str, known: set[str]) -> None:
    if what.partition(": ")[0] not in {other.partition(": ")[0] for other in known}:
        raise AssertionError(what)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/ilrm/" in f.filename or "/ablations/" in f.filename]
    last = (own or frames)[-1]
    message = " ".join(str(error).split())[:200]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {message}"


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlowError(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _limits() -> Iterator[None]:
    """A limit of address space, so that an input that asks for much memory fails instead of swapping."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
