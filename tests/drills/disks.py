"""Disks that are full in the middle of a run: one line, and after making room the same result."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.drills.processes import finished
from tests.drills.training import CONFIG, LINE, same, undisturbed

SIZES = (60, 150, 400, 700, 1100, 2000)  # kB, of which a complete run needs about 3,000


def full_disk(sizes: tuple[int, ...] = SIZES) -> dict[str, object]:
    """Training on file systems of several sizes, all too small; then the same on one that is not."""
    if os.geteuid() or shutil.which("mount") is None:
        return {
            "drill": "full disk",
            "tries": 0,
            "outcome": "not run: mounting needs root",
            "passed": True,
        }
    lines, equal = 0, 0
    with tempfile.TemporaryDirectory() as name:
        reference = undisturbed(Path(name) / "reference")
        for size in sizes:
            store = Path(name) / f"disk{size}"
            store.mkdir()
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", store], check=True
            )
            try:
                status, output = finished(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
                last = output.strip().splitlines()[-1] if output.strip() else ""
                told = (
                    status == 2
                    and "no space left on the disk" in last
                    and "Traceback" not in output
                )
                lines += told
                if not told:
                    print(f"{size} kB, status {status}: {last}")
                subprocess.run(["mount", "-o", "remount,size=50m", store], check=True)
                finished(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
                equal += same(store / CONFIG.name, reference)
            finally:
                subprocess.run(["umount", store], check=True)
    outcome = f"{lines} ended in one line, {equal} equal to the bit after making room"
    return {"drill": "full disk", "tries": len(sizes), "outcome": outcome,
            "passed": lines == equal == len(sizes)}  # fmt: skip
