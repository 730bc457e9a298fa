"""Time and memory of the paper's configurations on this machine.

`python -m ilrm.benchmark --tables 1 3 4` measures the encoder, the renderer and a training step of each
configuration, next to full attention of the same size. Every row is saved as soon as it is measured: the same
command resumes an interrupted benchmark, and further tables are added to the existing rows.
"""

import argparse
import sys

from ilrm.paper_configs import TIMED
from ilrm.presets import SCALES
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scale, the tables to measure, the time per measurement, and --record."""
    parser.add_argument("--scale", choices=SCALES, help="default: paper on a GPU, tiny on a CPU")
    parser.add_argument(
        "--tables",
        nargs="+",
        default=list(TIMED),
        help="tables of the paper; default: %(default)s",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="time spent on each measurement; default: %(default)s",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="copy the result to reports/records/benchmarks/, for `make report`",
    )


def perform(options: argparse.Namespace) -> int:
    """Run the benchmark and print the folder of its results."""
    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.runs.benchmark_runs import default_scale, run

    scale = options.scale or default_scale()
    print(run(scale, tuple(options.tables), options.seconds, options.record))
    return 0


main = Command("python -m ilrm.benchmark", __doc__, add_arguments, perform, resumes=True)

if __name__ == "__main__":
    sys.exit(main())
