"""Common parts of the command lines: one-line errors instead of tracebacks, and shared arguments.

Command modules import torch only after parsing their arguments, so that `--help` is fast.
"""

import argparse
import functools
import sys
from pathlib import Path
from typing import Any, Protocol

from ilrm.errors import IlrmError


class Main(Protocol):
    """Main function of a command, from its arguments (by default sys.argv's) to an exit status."""

    def __call__(self, arguments: list[str] | None = None) -> int: ...


def one_line_errors(main: Main) -> Main:
    """Decorate a command's main to print `error: ...` and return 2 on an IlrmError or an OSError."""

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


def capture_options(options: argparse.Namespace) -> dict[str, Any]:
    """What `add_capture_arguments` added, as arguments of `ilrm.reconstruction.inputs.open_capture`."""
    names = (
        "capture", "weights", "views", "size", "images", "choice", "around", "frames", "colmap"
    )  # fmt: skip
    return {name: getattr(options, name) for name in names}


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CAPTURE, --weights, --size, and the options that choose views."""
    parser.add_argument(
        "capture",
        type=Path,
        help="folder of posed images: COLMAP, nerfstudio, instant-ngp, LLFF or OpenCV cameras",
    )
    parser.add_argument(
        "--weights",
        default="ilrm-small",
        help="folder, released file or hub id; default: %(default)s, which comes with the package",
    )
    parser.add_argument(
        "--views", type=int, help="number of input views; default: the most of training"
    )
    parser.add_argument("--size", help="image size HxW; default: as many pixels as in training")
    parser.add_argument("--images", default="", help="folder of downsampled images, e.g. images_4")
    parser.add_argument(
        "--choice",
        choices=("near", "kmeans", "even"),
        default="near",
        help="input views near each other, or spread over the whole capture; default: %(default)s",
    )
    parser.add_argument(
        "--around", metavar="FRAME", help="reconstruct what is near this frame (number or name)"
    )
    parser.add_argument("--frames", metavar="A:B", help="use only these frames of the capture")
    parser.add_argument(
        "--colmap",
        default="",
        metavar="MODEL",
        help="COLMAP model to read, e.g. sparse/1; default: the one with most images",
    )
