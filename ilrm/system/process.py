"""Preparation of the process of a command."""

import io
import os
import sys


def begin() -> None:
    """Prepare the process of a command.

    Characters that the locale's encoding lacks are printed as escapes. Figures are only written to files,
    whatever matplotlib backend the user has set.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("agg")


def in_utf_8() -> None:
    """Restart the process of a command in Python's UTF-8 mode if its locale has another encoding.

    Libraries treat the text of a path as UTF-8, and some crash if it is not. Output stays in the encoding of
    the locale.
    """
    if sys.getfilesystemencoding() == "utf-8" or not sys.executable:
        return
    os.environ["PYTHONUTF8"] = "1"  # for processes started by this one
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
