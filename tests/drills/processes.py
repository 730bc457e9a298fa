"""Real processes that are killed: started with a command line, given a moment, and shot."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 900  # seconds for a process that is left alone


def command(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """`python -m ARGUMENTS` in a session of its own, so that it can be killed with all that it starts."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def finished(*arguments: object, **environment: str) -> tuple[int, str]:
    """Exit status and output of a command that is left alone."""
    process = command(*arguments, **environment)
    output, _ = process.communicate(timeout=LIMIT)
    return process.returncode, output


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9 of a process and everything that it started."""
    os.killpg(process.pid, 9)
    process.communicate()


def killed_once(
    process: subprocess.Popen[str], ready: Callable[[], bool], rng: random.Random, wait: float
) -> bool:
    """Kill a process within `wait` seconds after it is `ready`; False if it ends before."""
    while process.poll() is None and not ready():
        time.sleep(0.005)
    if process.poll() is None:
        time.sleep(rng.uniform(0, wait))
    if process.poll() is not None:
        process.communicate()
        return False
    kill(process)
    return True


def leftovers(folder: Path) -> list[str]:
    """What killed processes left behind: temporary files, and checkpoints of complete runs."""
    found = [*folder.rglob(".*.tmp*"), *folder.rglob("checkpoint-*")]
    return [str(path.relative_to(folder)) for path in found]
