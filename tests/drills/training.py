"""Training that is killed, damaged and resumed ends with the same weights, to the bit."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from ilrm.presets import run_config
from ilrm.training.checkpoints import latest_step
from tests.ablations.processes import children
from tests.drills.processes import command, finished, killed_once, leftovers

FIELDS = {"steps": 400, "warmup": 2, "save_minutes": 0.0}
CONFIG = run_config("smoke", **FIELDS)
LINE = ("ilrm.train", "--scale", "smoke", *(f"{name}={value}" for name, value in FIELDS.items()))


def same(run: Path, other: Path) -> bool:
    """Whether two runs have the same weights and metrics."""
    weights = load_file(run / "model.safetensors"), load_file(other / "model.safetensors")
    equal = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    return equal and (run / "per_view.csv").read_text() == (other / "per_view.csv").read_text()


def undisturbed(store: Path) -> Path:
    """The run that nothing happened to."""
    status, output = finished(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
    assert status == 0, output
    return store / CONFIG.name


def start(store: Path):
    """The run in this store, as a process."""
    return command(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")


def kills(rounds: int, per_round: int, seed: int = 0) -> dict[str, object]:
    """kill -9 of each round's run at random moments after its first checkpoint and each further one."""
    rng, total, equal, left = random.Random(seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        reference = undisturbed(Path(name) / "reference")
        for number in range(rounds):
            store = Path(name) / f"round{number}"
            folder = store / CONFIG.name
            for _ in range(per_round):
                before = latest_step(folder) if folder.exists() else 0
                total += killed_once(
                    start(store),
                    lambda folder=folder, before=before: folder.exists() and latest_step(folder) > before,
                    rng,
                    0.3,
                )  # fmt: skip
            finished(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
            equal += same(folder, reference)
            left += len(leftovers(store))
    outcome = f"{equal} of {rounds} rounds equal to the bit, {left} leftovers"
    return {"drill": "kill -9 of training after a checkpoint", "tries": total,
            "outcome": outcome, "passed": equal == rounds and not left}  # fmt: skip


def elastic(tries: int, seed: int = 0) -> dict[str, object]:
    """kill -9 of one of two processes under torchrun, which starts both again from the last checkpoint."""
    rng, killed, equal = random.Random(seed), 0, 0
    torchrun = (
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--max-restarts=3",
        "--standalone",
        "-m",
    )
    with tempfile.TemporaryDirectory() as name:
        reference = Path(name) / "reference"
        status, output = finished(*torchrun, *LINE, ILRM_RUNS=str(reference), OMP_NUM_THREADS="1")
        assert status == 0, output
        for number in range(tries):
            store = Path(name) / f"{number}"
            folder = store / CONFIG.name
            process = command(*torchrun, *LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
            while process.poll() is None and not (folder.exists() and latest_step(folder)):
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 1))
            if workers := children(process.pid, "ilrm.train"):
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed += 1
            output, _ = process.communicate(timeout=900)
            as_before = process.returncode == 0 and same(folder, reference / CONFIG.name)
            equal += as_before
            if not as_before:
                print(f"exit status {process.returncode}", output, sep="\n")
    return {"drill": "kill -9 of one of two processes under torchrun", "tries": killed,
            "outcome": f"{equal} of {tries} equal to the bit",
            "passed": equal == tries == killed}  # fmt: skip


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {"truncated": _truncate, "a bit flipped": _flip,
                                              "empty": _empty, "missing": Path.unlink}  # fmt: skip


def damages() -> dict[str, object]:
    """Every file of the newest checkpoint damaged in every way: the run resumes from the one before."""
    tries, passed, told = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        reference = undisturbed(Path(name) / "reference")
        stopped = Path(name) / "stopped"
        folder = stopped / CONFIG.name
        killed_once(
            start(stopped),
            lambda: len(list(folder.glob("checkpoint-*/sha256.json"))) > 1,
            random.Random(1),
            0.0,
        )
        for file in ("model.safetensors", "state.pt", "progress.json"):
            for damage in DAMAGES.values():
                store = Path(name) / f"{tries}"
                shutil.copytree(stopped, store)
                damage(sorted((store / CONFIG.name).glob("checkpoint-*"))[-1] / file)
                _, output = finished(*LINE, ILRM_RUNS=str(store), OMP_NUM_THREADS="1")
                tries += 1
                told += "is damaged" in output
                passed += same(store / CONFIG.name, reference)
    outcome = f"{passed} equal to the bit, {told} said in a line"
    return {"drill": "damages of the newest checkpoint", "tries": tries, "outcome": outcome,
            "passed": passed == told == tries}  # fmt: skip
