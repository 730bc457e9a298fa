"""Command line: time and memory of the paper's configurations on this machine.

`python -m ilrm.benchmark --tables 1 3 4` measures the encoder, the renderer and a training step of each
configuration, next to full attention of the same size. Every row is saved as soon as it is measured: the same
command resumes an interrupted benchmark, and further tables are added to the existing rows.
"""

import argparse
import sys
from collections.abc import Sequence

from ilrm.errors import IlrmError
from ilrm.paper_configs import TIMED
from ilrm.presets import SCALES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status: 2 on a user error, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)

    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.runs.benchmark_runs import default_scale, run

    scale = options.scale or default_scale()
    try:
        print(run(scale, tuple(options.tables), options.seconds, options.record))
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: run the same command again to resume", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ilrm.benchmark", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, help="default: paper on a GPU, tiny on a CPU")
    parser.add_argument(
        "--tables",
        nargs="+",
        default=list(TIMED),
        help="tables of the paper (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="time spent on each measurement (default: 2)"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="copy the result to reports/records/benchmarks/, for `make report`",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
