"""Types and defaults of command-line arguments."""

import argparse

from ilrm.system.paths import RUNS


def default_storage() -> str:
    """Path of the journal file in the run store."""
    return str(RUNS / "ablations.journal")


def positive(text: str) -> int:
    """Parse an integer of at least 1. Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give an integer of at least 1")
    return int(text)
