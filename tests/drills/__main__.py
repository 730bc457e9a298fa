"""`python -m tests.drills`: processes killed, disks filled, files damaged, and what became of them.

`--quick` does each drill once. The whole takes about an hour on two cores.
"""

import argparse
import sys
import time

import pandas as pd

from tests.drills import disks, evaluations, studies, training

DRILLS = {
    "training": (lambda: training.kills(4, 5), lambda: training.kills(1, 2)),
    "checkpoints": (training.damages, training.damages),
    "elastic": (lambda: training.elastic(3), lambda: training.elastic(1)),
    "evaluate": (lambda: evaluations.evaluate(10), lambda: evaluations.evaluate(2)),
    "reconstruct": (lambda: evaluations.reconstruct(10), lambda: evaluations.reconstruct(2)),
    "studies": (lambda: studies.kills(10), lambda: studies.kills(2)),
    "clocks": (studies.clocks, studies.clocks),
    "network": (studies.network, studies.network),
    "database": (studies.database, studies.database),
    "disk": (disks.full_disk, lambda: disks.full_disk((400,))),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument(
        "drills", nargs="*", metavar="DRILL", help=f"of {', '.join(DRILLS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="each drill once")
    options = parser.parse_args()
    if unknown := set(options.drills) - set(DRILLS):
        parser.error(f"no drill {unknown.pop()!r}: give some of {', '.join(DRILLS)}")
    rows = []
    for name in options.drills or DRILLS:
        started = time.monotonic()
        row = DRILLS[name][options.quick]()
        rows.append({**row, "minutes": round((time.monotonic() - started) / 60, 1)})
        print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
