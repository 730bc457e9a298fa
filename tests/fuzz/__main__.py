"""`python -m tests.fuzz --inputs 20000`: mutated files for every reader, and what became of them."""

import argparse
import sys
from pathlib import Path

from tests.fuzz.harness import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all"
    )
    parser.add_argument(
        "--inputs", type=int, default=1_000, help="per target; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that made a reader fail")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target {unknown.pop()!r}: give some of {', '.join(TARGETS)}")
    failed = 0
    for name in options.targets or TARGETS:
        result = fuzz(TARGETS[name], options.inputs, options.seed, options.keep)
        for line in result.foreign:
            print(f"{name}: {line}", flush=True)
        failed += len(result.foreign)
        row = {"inputs": result.inputs, "read": result.read, "refused": result.refused}
        counts = ", ".join(f"{value} {what}" for what, value in row.items())
        print(
            f"{name}: {counts}, {len(result.foreign)} foreign, {result.seconds:.0f} s", flush=True
        )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
