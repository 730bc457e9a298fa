"""Regenerate reports/output/ from the records; `--check` fails if files are stale.

Reports of the tiny scale are in reports/output/ itself, those of other recorded scales in subfolders.
"""

import argparse
import sys
from pathlib import Path

from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select reports, formats and the output folder."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail if files are stale"
    )
    parser.add_argument(
        "--no-models",
        action="store_true",
        help="skip figures and tables that need trained models and generated rooms (takes minutes)",
    )
    parser.add_argument(
        "--also", nargs="+", default=[], choices=("html", "pdf", "npz"), metavar="FORMAT",
        help="formats in addition to Markdown, CSV, LaTeX and PNG: html, pdf, npz (not committed)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, help="folder to write to; default: reports/output/ of the checkout"
    )


def perform(options: argparse.Namespace) -> int:
    """Regenerate or check the reports, and return the exit status: 1 if `--check` found stale files."""
    # torch, pandas and matplotlib take seconds to import, which --help does not wait for
    from ablations.storage import quiet_optuna
    from reports.regenerate import regenerate

    quiet_optuna()

    stale = regenerate(options.check, not options.no_models, options.also, options.out)
    for name in stale:
        print(f"stale: {name}", file=sys.stderr)
    if stale:
        print("run `make report` to regenerate them", file=sys.stderr)
    return 1 if stale else 0


main = Command("python -m reports", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
