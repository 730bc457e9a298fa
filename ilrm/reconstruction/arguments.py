"""Command line arguments that name a capture and choose views of it."""

import argparse
from pathlib import Path
from typing import Any

from ilrm.ranges import VIEW_CHOICES


def capture_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `add_capture_arguments`, as arguments of `ilrm.reconstruction.inputs.open_capture`."""
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
        "--views", type=int, help="number of input views; default: the largest number in training"
    )
    parser.add_argument("--size", help="image size HxW; default: as many pixels as in training")
    parser.add_argument("--images", default="", help="folder of downsampled images, e.g. images_4")
    parser.add_argument(
        "--choice",
        choices=VIEW_CHOICES,
        default="near",
        help="input views near each other, or spread over the whole capture; default: %(default)s",
    )
    parser.add_argument(
        "--around", metavar="FRAME", help="reconstruct the part near this frame (number or name)"
    )
    parser.add_argument("--frames", metavar="A:B", help="use only these frames of the capture")
    parser.add_argument(
        "--colmap",
        default="",
        metavar="MODEL",
        help="COLMAP model to read, e.g. sparse/1; default: the one with most images",
    )
