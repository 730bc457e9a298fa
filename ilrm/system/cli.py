"""Common parts of the command lines: the Command class, one-line errors, and shared arguments.

Command modules import torch only after parsing their arguments, so that `--help` is fast.
"""

import argparse
import errno
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ilrm.errors import IlrmError
from ilrm.system.process import begin, in_utf_8
from ilrm.system.stopping import Stopped, stopping_at_once

_CURES = {
    errno.ENOSPC: "make room on that disk and run the command again",
    errno.EDQUOT: "free some of the quota and run the command again",
    errno.EROFS: "give a folder on a disk that can be written",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file, give a folder",
    errno.EISDIR: "it is a folder, give a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "a link leads to itself, remove it",
    errno.EMFILE: "raise the number of open files (ulimit -n)",
}
_MEMORY = ("allocate memory", "out of memory", "is killed by signal: Killed")  # in torch's errors


@dataclass(frozen=True)
class Command:
    """A command line. One definition serves both spellings, `python -m MODULE` and `ilrm NAME`.

    Calling it parses the arguments (by default those of this process), performs the command and returns the
    exit status: 2 with one line `error: ...` on an IlrmError, an OSError or a lack of memory; 128 plus the
    number of the signal, as in shells, after Ctrl-C, SIGTERM or SIGHUP.
    """

    prog: str
    description: str | None
    add_arguments: Callable[[argparse.ArgumentParser], None]
    perform: Callable[[argparse.Namespace], int]
    resumes: bool = False  # whether the same command resumes after Ctrl-C

    def __call__(self, arguments: Sequence[str] | None = None, prog: str = "") -> int:
        if arguments is None:
            in_utf_8()
        begin()
        parser = argparse.ArgumentParser(prog=prog or self.prog, description=self.description)
        self.add_arguments(parser)
        options = parser.parse_args(arguments)
        try:
            with stopping_at_once():
                return self.perform(options)
        except IlrmError as error:
            print(f"error: {error}", file=sys.stderr)
        except OSError as error:
            where = "" if error.filename is None else f" ({error.filename})"
            cure = f": {_CURES[error.errno]}" if error.errno in _CURES else ""
            print(f"error: {error.strerror or error}{where}{cure}", file=sys.stderr)
        except (MemoryError, RuntimeError) as error:  # torch raises RuntimeError
            if not _is_memory(error):
                raise
            print(
                "error: the memory of this machine or GPU does not suffice: give fewer views, a smaller size "
                "or batch, or a smaller model",
                file=sys.stderr,
            )
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            after = ": run the same command again to resume" if self.resumes else ""
            print(f"\nstopped by {signal.Signals(number).name}{after}", file=sys.stderr)
            return 128 + number
        return 2


def _is_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, here or in a worker process that was killed for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)
