"""What the command lines share: an error that a user can mend is one line, never a traceback; and common
arguments. Modules of commands import what is heavy after their arguments are read: `--help` needs no torch.
"""

import argparse
import functools
import sys
from pathlib import Path
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


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """CAPTURE, --weights, --views, --size, --images."""
    parser.add_argument("capture", type=Path, help="folder of posed images, any usual layout")
    parser.add_argument("--weights", required=True, help="folder, released file or hub id")
    parser.add_argument("--views", type=int, help="input views; default: as trained")
    parser.add_argument("--size", help="HxW; default: as many pixels as trained on")
    parser.add_argument("--images", default="", help="folder of smaller images, e.g. images_4")
