"""Command line: `python -m ilrm.train --scale tiny layers=6 seed=1`, under torchrun too."""

import argparse
import sys

from ilrm.errors import ConfigError, IlrmError
from ilrm.presets import SCALES, run_config
from ilrm.runs import perform


def main(arguments: list[str] | None = None) -> int:
    """Perform one run; prints its folder and metrics. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ilrm.train", description=__doc__)
    parser.add_argument("--scale", default="tiny", help=f"one of {', '.join(SCALES)}")
    parser.add_argument("fields", nargs="*", metavar="name=value", help="fields to replace")
    options = parser.parse_args(arguments)
    try:
        run = perform(run_config(options.scale, **_fields(options.fields)))
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(run.folder)
    for method, values in run.metrics["summary"].items():
        print(method, {name: round(value["mean"], 4) for name, value in values.items()})
    return 0


def _fields(texts: list[str]) -> dict[str, str]:
    fields = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r}: give fields as name=value, e.g. layers=6")
        fields[name] = value
    return fields


if __name__ == "__main__":
    sys.exit(main())
