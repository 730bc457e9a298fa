"""Convert one of the authors' released checkpoints to a weights folder.

`python -m ilrm.convert CHECKPOINT --out FOLDER`
"""

import argparse
import sys
from pathlib import Path

from ilrm.data.framing import parse_size
from ilrm.ranges import check_option
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the checkpoint, its training settings, and the output folder."""
    parser.add_argument("checkpoint", type=Path, help="the authors' released file")
    parser.add_argument(
        "--out", type=Path, required=True, help="where to create the weights folder"
    )
    parser.add_argument("--views", type=int, help="number of input views it was trained with")
    parser.add_argument("--size", help="image size HxW it was trained on")


def perform(options: argparse.Namespace) -> int:
    """Write a weights folder and print the inferred configuration."""
    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm import cost
    from ilrm.weights.released import load_released
    from ilrm.weights.state import write_weights

    check_option("views", options.views)
    size = parse_size(options.size) if options.size else None
    weights = load_released(options.checkpoint, options.views, size)
    folder = write_weights(weights, options.out)
    c = weights.config.model
    print(
        f"{cost.parameters(c):,} parameters: {c.layers} layers, width {c.width}, {c.heads} heads, patch "
        f"{c.patch}, uplift {c.uplift}, viewpoints {c.viewpoint_scale}, rays {c.rays}"
    )
    print(folder)
    return 0


main = Command("python -m ilrm.convert", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
