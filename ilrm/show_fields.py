"""Every configuration field with its type, its value and its meaning.

Fields are overridden by name: `ilrm train layers=6`, `-p layers 6` for a notebook.
"""

import argparse
import dataclasses
import sys
from typing import Any

from ilrm.config import RunConfig
from ilrm.fields import check_names, commented, kind
from ilrm.presets import SCALES, parameter_names, run_config
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names of fields and --scale."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these fields; default: all")
    parser.add_argument("--scale", default="tiny", choices=SCALES, metavar="SCALE",
                        help=f"show the values of {', '.join(SCALES)}; default: %(default)s")  # fmt: skip


def perform(options: argparse.Namespace) -> int:
    """Print the fields, by the part of the configuration that they belong to."""
    check_names(dict.fromkeys(options.names), list(parameter_names()), "the configuration")
    config = run_config(options.scale)
    print(f"Values of the {options.scale} scale; * where it differs from the paper's recipe.")
    for part in dataclasses.fields(RunConfig)[1:]:
        lines = _lines(getattr(config, part.name), options.names)
        if lines:
            print(f"\n{part.name}", *lines, sep="\n")
    return 0


def _lines(part: Any, names: list[str]) -> list[str]:
    """Lines with the comments and fields of one part; with `names`, only these fields."""
    lines = []
    for comment, fields in commented(type(part)):
        shown = [f for f in fields if not names or f.name in names]
        if shown:
            lines.append(f"  # {comment}")
        for f in shown:
            value = getattr(part, f.name)
            mark = "" if value == getattr(type(part)(), f.name) else " *"
            lines.append(f"  {f.name}={value}  ({kind(type(part), f.name)}){mark}")
    return lines


main = Command("python -m ilrm.show_fields", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
