"""Checkpoints of a training run: one folder per checkpoint, complete or absent.

A power failure may still leave a file empty or cut short, so each folder holds digests of its files, the last
two checkpoints are kept, and a damaged one is skipped.
"""

import hashlib
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ilrm.errors import RunError
from ilrm.system.distributed import processes
from ilrm.system.files import atomic_folder
from ilrm.weights.state import write_state

PREFIX = "checkpoint-"
WEIGHTS, STATE, PROGRESS = "model.safetensors", "state.pt", "progress.json"
DIGESTS = "sha256.json"  # {file name: SHA-256}; checkpoints of earlier versions have none
KEPT = 2  # number of checkpoints that are kept


@dataclass
class Progress:
    """Progress of a run: steps done, learning curve, seconds spent training."""

    step: int
    history: list[dict[str, Any]]
    seconds: float
    # values of the steps after the last point of the curve
    since: list[dict[str, float]] = field(default_factory=list)


def save(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
) -> None:
    """Write `folder/checkpoint-STEP` (weights, optimiser state); keep only it and the one before."""
    target = folder / f"{PREFIX}{progress.step:08d}"
    with atomic_folder(target) as beside:
        write_state(model, beside / WEIGHTS)
        state = {
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "torch_rng": torch.get_rng_state(),
        }
        content = io.BytesIO()  # torch.save to a path would report a full disk as a RuntimeError
        torch.save(state, content)
        (beside / STATE).write_bytes(content.getbuffer())
        (beside / PROGRESS).write_text(json.dumps(vars(progress)), encoding="utf-8")
        digests = {name: _digest(beside / name) for name in (WEIGHTS, STATE, PROGRESS)}
        (beside / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
    every = _checkpoints(folder)
    ahead = [checkpoint for checkpoint in every if checkpoint.name > target.name]  # damaged ones
    for old in (*ahead, *[c for c in every if c not in ahead][:-KEPT]):
        shutil.rmtree(old)


def load(
    folder: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> Progress | None:
    """Restore the newest checkpoint that is not damaged into model and optimisers; None without one.

    A damaged checkpoint is skipped, and a line says so. Raises RunError if it is of another model.
    """
    for checkpoint in reversed(_checkpoints(folder)):
        try:
            progress, weights, state = _read(checkpoint)
        except Exception as error:  # torch, safetensors and JSON raise many types on damaged bytes
            if processes().is_first:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                print(f"{checkpoint} is damaged ({reason}): skipped", flush=True)
            continue
        try:
            for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(values)
            model.load_state_dict(weights)
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{checkpoint} does not fit the model: another version wrote it, remove it to start anew"
            ) from error
        torch.set_rng_state(state["torch_rng"])
        return progress
    return None


def _read(checkpoint: Path) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """Progress, weights, and states of optimisers and random numbers. Raises on a damaged file."""
    if (checkpoint / DIGESTS).exists():
        for name, digest in json.loads((checkpoint / DIGESTS).read_text(encoding="utf-8")).items():
            if _digest(checkpoint / name) != digest:
                raise ValueError(f"{name} differs from its digest")
    progress = Progress(**json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8")))
    weights = load_file(checkpoint / WEIGHTS)
    return progress, weights, torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def latest_step(folder: Path) -> int:
    """Steps done at the newest checkpoint, 0 without one."""
    every = _checkpoints(folder)
    return int(every[-1].name.removeprefix(PREFIX)) if every else 0


def drop(folder: Path) -> None:
    """Remove all checkpoints: the run is complete."""
    for checkpoint in _checkpoints(folder):
        shutil.rmtree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}*"))
