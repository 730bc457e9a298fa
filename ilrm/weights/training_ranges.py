"""Ranges of views, camera rotation, field of view and depth in a model's training data.

Cameras of a capture outside of these ranges are a likely cause of poor quality.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.data.batches import TrainingData
from ilrm.errors import WeightsError
from ilrm.model import ILRM
from ilrm.rendering import render
from ilrm.system.files import write_json
from ilrm.system.json_files import read_json

FILE = "seen.json"
SAMPLES = 128  # number of training samples to measure, spread over all of training
PERCENTILES = (0.01, 0.99)

Range = tuple[float, float]


@dataclass(frozen=True)
class TrainingRanges:
    """Ranges over training samples: 1st to 99th percentile; smallest and largest number of input views."""

    views: tuple[int, int]
    rotation: Range  # degrees, largest angle between the viewing directions of two input views
    fov: Range  # degrees, vertical
    depth: Range  # normalised scene units, rendered by the trained model in the input views

    def write(self, folder: Path) -> None:
        """Write the ranges to a run or weights folder."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "TrainingRanges | None":
        """Read the ranges from a folder; None if it has none. Raises WeightsError on an invalid file."""
        path = folder / FILE
        if not path.is_file():
            return None
        values = read_json(path, WeightsError, "delete it")
        try:
            return cls(**{name: (low, high) for name, (low, high) in values.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path} does not contain training ranges ({error}): delete it"
            ) from error


@torch.no_grad()
def training_ranges(model: ILRM, data: TrainingData, steps: int) -> TrainingRanges:
    """Measure the training ranges of a trained model on samples from its `steps` training steps."""
    device = next(model.parameters()).device
    count = max(1, SAMPLES // data.dataset.batch_size)
    rotations, fovs, depths = [], [], []
    for step in sorted({round(k * (steps - 1) / max(1, count - 1)) for k in range(count)}):
        inputs = data.batch(step).to(device).inputs
        rotations.append(rotation(inputs.cameras))
        fovs.append(vertical_fov(inputs.cameras).flatten())
        rendered = render(model(inputs), inputs.cameras, depth=True).depths
        assert rendered is not None
        depths.append(rendered[rendered > 0][::7])  # quantiles of all pixels take too long
    low, high = data.dataset.context_range
    return TrainingRanges(
        (low, high),
        _range(torch.cat(rotations)),
        _range(torch.cat(fovs)),
        _range(torch.cat(depths)),
    )


def rotation(cameras: Cameras) -> Float[Tensor, " B"]:
    """Largest angle, in degrees, between the viewing directions of any two of the cameras [B, V]."""
    forward = cameras.c2w[..., :3, 2]  # [B, V, 3]
    cosine = (forward @ forward.mT).clamp(-1, 1)
    return torch.rad2deg(torch.acos(cosine)).amax((-1, -2))


def vertical_fov(cameras: Cameras) -> Float[Tensor, "B V"]:
    """Vertical field of view in degrees."""
    return torch.rad2deg(2 * torch.atan(0.5 * cameras.height / cameras.fxfycxcy[..., 1]))


def _range(values: Tensor) -> Range:
    if not len(values):
        return (0.0, 0.0)
    chosen = values.double().cpu()[:: max(1, len(values) // 1_000_000)]
    low, high = torch.quantile(chosen, torch.tensor(PERCENTILES, dtype=torch.float64)).tolist()
    return round(low, 4), round(high, 4)
