"""What every command does first with the process that it runs in."""

import io
import os
import sys


def begin() -> None:
    """Prepare the process of a command.

    Text that the locale's encoding does not have is printed escaped, not refused. Figures become files,
    whatever shows them in the user's other programs.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("agg")
