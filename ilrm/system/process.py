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


def in_utf_8() -> None:
    """Start the process of a command anew in Python's UTF-8 mode if its locale has another encoding.

    Libraries take a path that they are given as text for UTF-8, and some crash on what is not. What is
    printed stays in the encoding of the locale.
    """
    if sys.getfilesystemencoding() == "utf-8" or not sys.executable:
        return
    os.environ["PYTHONUTF8"] = "1"  # of the processes that this one starts
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
