"""Checkpoints of a training run: one folder a checkpoint, complete or absent."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from ilrm.system.files import atomic_folder

PREFIX = "checkpoint-"


@dataclass
class Progress:
    """How far a run is: steps done, its learning curve, seconds spent training."""

    step: int
    history: list[dict[str, Any]]
    seconds: float


def save(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
) -> None:
    """Write `folder/checkpoint-STEP` (weights as safetensors, optimiser state), drop older ones."""
    target = folder / f"{PREFIX}{progress.step:08d}"
    with atomic_folder(target) as beside:
        save_model(model, str(beside / "model.safetensors"))
        state = {
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "torch_rng": torch.get_rng_state(),
        }
        torch.save(state, beside / "state.pt")
        (beside / "progress.json").write_text(json.dumps(vars(progress)))
    for old in _checkpoints(folder)[:-1]:
        shutil.rmtree(old)


def load(
    folder: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> Progress | None:
    """Restore the newest checkpoint into model and optimisers; None if there is none."""
    found = _checkpoints(folder)
    if not found:
        return None
    device = next(model.parameters()).device
    load_model(model, str(found[-1] / "model.safetensors"), device=str(device))
    state = torch.load(found[-1] / "state.pt", map_location="cpu", weights_only=True)
    for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(values)
    torch.set_rng_state(state["torch_rng"])
    return Progress(**json.loads((found[-1] / "progress.json").read_text()))


def latest_step(folder: Path) -> int:
    """Steps done at the newest checkpoint, 0 without one."""
    found = _checkpoints(folder)
    return int(found[-1].name.removeprefix(PREFIX)) if found else 0


def drop(folder: Path) -> None:
    """Remove all checkpoints: the run is complete."""
    for checkpoint in _checkpoints(folder):
        shutil.rmtree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}*"))
