"""Command line: times and memory of the paper's configurations on this machine.

`python -m ilrm.benchmark --tables 1 3 4` measures encoder, renderer and training step of each, beside full
attention of the same size. Rows are kept as they come: the same command goes on where it stopped, and other
tables add to what is there.
"""

import argparse
import sys
from collections.abc import Sequence

from ilrm.cost.paper_configs import TIMED
from ilrm.errors import IlrmError
from ilrm.presets import SCALES


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 2 on a mistake of the user's."""
    options = _parser().parse_args(arguments)

    # torch and the rest take seconds to import, which --help does not wait for
    from ilrm.runs.benchmark_runs import default_scale, run

    scale = options.scale or default_scale()
    try:
        print(run(scale, tuple(options.tables), options.seconds, options.record))
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ilrm.benchmark", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, help="default: paper on a GPU, tiny on a CPU")
    parser.add_argument(
        "--tables", nargs="+", default=list(TIMED), help="of the paper (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="to repeat a measurement for (default: 2)"
    )
    parser.add_argument(
        "--record", action="store_true", help="into reports/records/benchmarks/, for make report"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
