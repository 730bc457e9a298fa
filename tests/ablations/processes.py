"""Processes that tests start, find and kill."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def children(pid: int, words: str = "") -> list[int]:
    """Processes that a process started, those whose command line holds these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            line = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if f"\nPPid:\t{pid}\n" in status and words in line:
            found.append(int(folder.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 180) -> Any:
    """What the condition returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found
