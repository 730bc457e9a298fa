"""Evaluations and reconstructions that are killed: nothing is lost, nothing is half there."""

import random
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from ilrm.data.procedural.samples import example_capture
from tests.drills.processes import command, finished, killed_once, leftovers


def _captures(folder: Path, count: int) -> Path:
    for i in range(count):
        example_capture(folder / f"room{i}", 64)
    return folder


def evaluate(kills: int, seed: int = 0) -> dict[str, object]:
    """kill -9 of an evaluation of several captures, after any of its scenes."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        data = _captures(Path(name) / "data", kills + 2)
        line = ("ilrm.evaluate", "--weights", "ilrm-small", "--data", data, "--protocol", "captures",
                "--views", 4, "--pictures", 3)  # fmt: skip
        reference, store = Path(name) / "reference", Path(name) / "killed"
        status, output = finished(*line, "--store", reference)
        assert status == 0, output
        tries = 0
        for _ in range(kills):
            before = len(list(store.rglob("scenes/*.json")))
            tries += killed_once(
                command(*line, "--store", store),
                lambda before=before: len(list(store.rglob("scenes/*.json"))) > before,
                rng,
                0.1,
            )
        status, output = finished(*line, "--store", store)
        tables = [pd.read_csv(next(s.rglob("per_view.csv"))) for s in (reference, store)]
        equal, left = tables[0].equals(tables[1]), leftovers(store)
    outcome = f"{'equal' if equal else 'not equal'} to the undisturbed one, {len(left)} leftovers"
    return {"drill": "kill -9 of an evaluation", "tries": tries, "outcome": outcome,
            "passed": status == 0 and equal and not left}  # fmt: skip


def reconstruct(kills: int, seed: int = 0) -> dict[str, object]:
    """kill -9 of a reconstruction into a folder that holds an earlier scene."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        capture = _captures(Path(name) / "data", 1) / "room0"
        out = Path(name) / "out" / "scene"
        line = ("ilrm.reconstruct", capture, "--out", out, "--views", 4, "--size", "64x64")
        status, output = finished(*line)
        assert status == 0, output
        whole = sorted(path.name for path in out.iterdir())
        tries, broken = 0, 0
        for _ in range(kills):
            shutil.rmtree(out.parent / "lost", ignore_errors=True)
            process = command(*line)
            tries += killed_once(
                process, lambda: any(out.parent.glob(".scene.*")) or not out.exists(), rng, 3.0
            )
        status, output = finished(*line)
        broken += sorted(path.name for path in out.iterdir()) != whole
        left = leftovers(out.parent)
    outcome = f"the scene is {'broken' if broken else 'whole'}, {len(left)} leftovers"
    return {"drill": "kill -9 of a reconstruction", "tries": tries, "outcome": outcome,
            "passed": status == 0 and not broken and not left}  # fmt: skip
