"""Arguments that several commands of studies share."""

import argparse
import os

from ilrm.fields import shown
from ilrm.presets import SCALES
from ilrm.ranges import OPTIONS
from ilrm.system.paths import RUNS

STORAGE = "ILRM_STORAGE"  # environment variable
KINDS = "names (see `list`), paths of TOML files, or all"  # of studies


def default_storage() -> str:
    """The storage that ILRM_STORAGE names, perhaps with a password, else the journal in the run store."""
    return os.environ.get(STORAGE) or str(RUNS / "ablations.journal")


def without_password(address: str) -> str:
    """The address of a storage without user and password, as messages show it."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else address


def positive(text: str) -> int:
    """Parse an integer of at least 1. Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{shown(text)}: give an integer of at least 1")
    return int(text)


def workers(text: str) -> int:
    """Parse a number of processes. Raises argparse.ArgumentTypeError."""
    return _option("workers", text)


def trials(text: str) -> int:
    """Parse a number of trials. Raises argparse.ArgumentTypeError."""
    return _option("trials", text)


def _option(name: str, text: str) -> int:
    value = positive(text)
    if value not in OPTIONS[name]:
        raise argparse.ArgumentTypeError(f"{shown(text)}: give {OPTIONS[name]}")
    return value


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
    """Add --storage, by default ILRM_STORAGE or a journal file in the run store."""
    parser.add_argument(
        "--storage",
        default=default_storage(),
        metavar="STORAGE",
        help="journal file, or postgresql://user:password@host/name; give an address with a password in "
        f"the environment variable {STORAGE}, where other users cannot read it; default: "
        f"{without_password(default_storage())}",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add --workers, by default one for each core."""
    parser.add_argument(
        "--workers",
        type=workers,
        default=os.cpu_count(),
        help="processes on this host; default: %(default)s",
    )
