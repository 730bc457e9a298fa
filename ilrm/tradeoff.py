"""Reconstruction time against quality on one capture, the trade-off of Table 5.

Compares iLRM zero-shot, iLRM with refinement, and per-scene 3D-GS, from scratch and as `--splat` starts it.
`python -m ilrm.tradeoff CAPTURE --weights W --out FOLDER` writes rows.csv and about.json.
"""

import argparse
import sys
from pathlib import Path

from ilrm.ranges import check_option
from ilrm.reconstruction.arguments import add_capture_arguments, capture_options
from ilrm.system.cli import Command
from ilrm.system.files import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the capture, the output folder, and the number of steps."""
    add_capture_arguments(parser)
    parser.add_argument(
        "--out", type=Path, help="folder to write into; default: a record for `make report`"
    )
    parser.add_argument(
        "--steps", type=int, default=3_000, help="3D-GS optimisation steps; default: %(default)s"
    )


def perform(options: argparse.Namespace) -> int:
    """Write the folder and print the rows."""
    for name in ("views", "steps"):
        check_option(name, getattr(options, name))

    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.reconstruction.inputs import open_capture
    from ilrm.reconstruction.tradeoff import target_folder, trade_off, write_trade_off
    from ilrm.runs.records import TRADEOFFS, check_recordable

    if options.out is None:
        check_recordable()
    else:
        check_folder(options.out)
    opened = open_capture(**capture_options(options))
    print(opened.about)
    reconstruction = opened.reconstruct()
    out = target_folder(reconstruction, opened.weights, options.out, TRADEOFFS)
    rows = trade_off(reconstruction, opened.weights, options.steps)
    write_trade_off(rows, reconstruction, opened.weights, out)
    print(rows.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(out)
    return 0


main = Command("python -m ilrm.tradeoff", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
