"""What the command lines share: an error that a user can mend is one line, never a traceback."""

import functools
import sys
from typing import Protocol

from ilrm.errors import IlrmError


class Main(Protocol):
    """A command's main: arguments, by default the process's, to an exit status."""

    def __call__(self, arguments: list[str] | None = None) -> int: ...


def one_line_errors(main: Main) -> Main:
    """A command's main that prints `error: ...` and returns 2 on an IlrmError or a file that cannot be read
    or written.
    """

    @functools.wraps(main)
    def guarded(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except IlrmError as error:
            print(f"error: {error}", file=sys.stderr)
        except OSError as error:
            print(f"error: {error.strerror or error} ({error.filename})", file=sys.stderr)
        return 2

    return guarded
