"""iLRM, an iterative large 3D reconstruction model: posed images to 3D Gaussians in one forward pass.

`ILRM(config)(views) -> Gaussians`; `render(gaussians, cameras)` renders them.
"""

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

# OpenMP reads these when torch is imported. Threads that spin between torch's operators slow the CPU
# rasterizer down eightfold; without any spinning, waking them costs a third of a training step
# (reports/training_step.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # a few microseconds

if TYPE_CHECKING:
    from ilrm.cameras import Cameras, normalize_cameras
    from ilrm.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainConfig
    from ilrm.errors import IlrmError
    from ilrm.gaussians import Gaussians
    from ilrm.model import ILRM
    from ilrm.presets import PRESETS, model_config, run_config
    from ilrm.rendering import Rendering, rasterization, render
    from ilrm.views import Views

# Progress bars are text here; fvcore and optuna import tqdm.auto, which warns about missing widgets.
warnings.filterwarnings("ignore", message="IProgress not found")

__all__ = [
    "ILRM",
    "PRESETS",
    "Cameras",
    "DataConfig",
    "EvaluationConfig",
    "Gaussians",
    "IlrmError",
    "ModelConfig",
    "Rendering",
    "RunConfig",
    "TrainConfig",
    "Views",
    "model_config",
    "normalize_cameras",
    "rasterization",
    "render",
    "run_config",
]

_MODULES = {
    "ilrm.cameras": ("Cameras", "normalize_cameras"),
    "ilrm.config": ("DataConfig", "EvaluationConfig", "ModelConfig", "RunConfig", "TrainConfig"),
    "ilrm.errors": ("IlrmError",),
    "ilrm.gaussians": ("Gaussians",),
    "ilrm.model": ("ILRM",),
    "ilrm.presets": ("PRESETS", "model_config", "run_config"),
    "ilrm.rendering": ("Rendering", "rasterization", "render"),
    "ilrm.views": ("Views",),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first access, so that `--help` of a command does not wait for torch."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
