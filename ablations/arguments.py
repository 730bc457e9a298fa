"""Arguments that several commands of studies share."""

import argparse
import os

from ilrm.presets import SCALES
from ilrm.system.paths import RUNS

KINDS = "names (see `list`), paths of TOML files, or all"  # of studies


def default_storage() -> str:
    """Path of the journal file in the run store."""
    return str(RUNS / "ablations.journal")


def positive(text: str) -> int:
    """Parse an integer of at least 1. Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give an integer of at least 1")
    return int(text)


def add_scale(parser: argparse.ArgumentParser) -> None:
    """Add --scale."""
    parser.add_argument(
        "--scale",
        default="tiny",
        choices=SCALES,
        metavar="SCALE",
        help=f"one of {', '.join(SCALES)}; default: %(default)s",
    )


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add --storage, by default a journal file in the run store."""
    parser.add_argument(
        "--storage",
        default=default_storage(),
        help="journal file, or postgresql://user:password@host/name; default: %(default)s",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers, by default one for each core."""
    parser.add_argument(
        "--workers",
        type=positive,
        default=os.cpu_count(),
        help="processes on this host; default: %(default)s",
    )
