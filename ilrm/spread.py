"""Measure the quality of weights against the angle between their input views, on procedural rooms.

`python -m ilrm.spread --weights W` writes spread.json beside the weights, where `reconstruct` finds it.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from ilrm.errors import ConfigError
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the weights and the number of rooms."""
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        help="weights or run folder, in which spread.json is written",
    )
    parser.add_argument(
        "--scenes", type=int, default=16, help="rooms per camera path; default: %(default)s"
    )


def perform(options: argparse.Namespace) -> int:
    """Measure, write and print the rows."""
    if options.scenes < 1:
        raise ConfigError(f"scenes={options.scenes}: give at least 1")
    if not options.weights.is_dir():
        raise ConfigError(f"{options.weights} is not a folder: give a weights or run folder")

    # imported here because torch takes seconds to load, and --help should not wait for it
    import pandas as pd

    from ilrm.weights.quality_by_spread import quality_by_spread
    from ilrm.weights.state import read_weights

    spread = quality_by_spread(read_weights(options.weights), options.scenes)
    spread.write(options.weights)
    print(pd.DataFrame([asdict(row) for row in spread.rows]).to_string(index=False))
    return 0


main = Command("python -m ilrm.spread", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
