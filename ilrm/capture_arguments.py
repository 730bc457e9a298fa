"""What the commands on a capture have in common: its folder, weights, the input views and their size."""

import argparse
from pathlib import Path

from ilrm.data.captures import read_capture
from ilrm.data.scene import Framing, Scene, parse_size
from ilrm.distributed import processes
from ilrm.pretrained import Weights, read_weights
from ilrm.reconstruction import framing_of


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """CAPTURE, --weights, --views, --size, --images."""
    parser.add_argument("capture", type=Path, help="folder of posed images, any usual layout")
    parser.add_argument("--weights", required=True, help="folder, released file or hub id")
    parser.add_argument("--views", type=int, help="input views; default: as trained")
    parser.add_argument("--size", help="HxW; default: as many pixels as trained on")
    parser.add_argument("--images", default="", help="folder of smaller images, e.g. images_4")


def read_arguments(options: argparse.Namespace) -> tuple[Scene, Weights, int, Framing]:
    """The capture, the weights on their device, the number of input views and their size."""
    scene = read_capture(options.capture, options.images)
    weights = read_weights(options.weights)
    weights.model.to(processes().device)
    framing = framing_of(scene, weights, parse_size(options.size) if options.size else None)
    return scene, weights, options.views or weights.config.data.context_views, framing
