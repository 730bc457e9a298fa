"""iLRM, an iterative large 3D reconstruction model: posed photos to 3D Gaussians in one pass.

`ILRM(config)(views) -> Gaussians`; `render(gaussians, cameras)` draws them.
"""

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

# OpenMP's threads would spin between torch's operators and slow the rasteriser down eightfold; without
# any spinning, waking them costs a third of a step (reports/training_step.md). Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # some microseconds

if TYPE_CHECKING:
    from ilrm.cameras import Cameras, normalize_cameras
    from ilrm.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainConfig
    from ilrm.errors import IlrmError
    from ilrm.gaussians import Gaussians
    from ilrm.model import ILRM
    from ilrm.presets import PRESETS, model_config, run_config
    from ilrm.rendering import Rendering, rasterization, render
    from ilrm.views import Views

# Bars are text here; in a notebook tqdm.auto, which fvcore and optuna import, would ask for widgets.
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
    """Names are imported when they are asked for: a command answers `--help` before torch is loaded."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
