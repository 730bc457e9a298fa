"""`python -m reports`: regenerate reports/output/ from the records; `--check` fails if files are stale.

Reports of the tiny scale are in reports/output/ itself, those of other recorded scales in subfolders.
"""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Regenerate or check the reports, and return the exit status: 1 if `--check` found stale files."""
    parser = argparse.ArgumentParser(
        prog="python -m reports", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail if files are stale"
    )
    parser.add_argument(
        "--no-models",
        action="store_true",
        help="skip figures and tables that need trained models and generated rooms (takes minutes)",
    )
    options = parser.parse_args(arguments)

    # imported here because torch, pandas and matplotlib take seconds to load, and --help should not wait
    from reports.regenerate import regenerate

    stale = regenerate(options.check, not options.no_models)
    for name in stale:
        print(f"stale: {name}", file=sys.stderr)
    if stale:
        print("run `make report` to regenerate them", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
