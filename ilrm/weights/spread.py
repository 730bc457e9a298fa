"""Quality of weights against the angle between their input views, stored in a file beside them.

It is measured on procedural rooms (`ilrm.weights.quality_by_spread`), and the diagnosis of a reconstruction
compares a capture with it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ilrm.cameras import Cameras
from ilrm.errors import WeightsError
from ilrm.system.files import write_json
from ilrm.system.json_files import read_json

FILE = "spread.json"


@dataclass(frozen=True)
class SpreadRow:
    """Mean quality on rooms seen along one camera path, with one number of input views."""

    path: str  # camera path of `ilrm.data.procedural`
    views: int
    scenes: int
    spacing: float  # degrees, `spacing` of the input cameras, median over the scenes
    psnr: float  # dB, of the model
    plane_warp: float  # dB, of the plane warp


@dataclass(frozen=True)
class Spread:
    """Quality of weights by the spread of their input views."""

    rows: Sequence[SpreadRow]

    def at(self, views: int, degrees: float) -> SpreadRow:
        """Expected quality at a spacing in degrees, with the nearest measured number of views.

        It is interpolated between the measured paths, and beyond them that of the last path.
        """
        rows = self._with(views)
        spacings = [row.spacing for row in rows]
        model, warp = (
            float(np.interp(degrees, spacings, [getattr(row, name) for row in rows]))
            for name in ("psnr", "plane_warp")
        )
        nearest = min(rows, key=lambda row: abs(row.spacing - degrees))
        return SpreadRow(nearest.path, nearest.views, nearest.scenes, degrees, model, warp)

    def best(self, views: int) -> SpreadRow:
        """The path on which the weights are best, with the nearest number of views."""
        return max(self._with(views), key=lambda row: row.psnr)

    def _with(self, views: int) -> list[SpreadRow]:
        # of two equally near numbers the larger, which was measured with views closer to each other, too
        nearest = min((row.views for row in self.rows), key=lambda n: (abs(n - views), -n))
        return sorted((r for r in self.rows if r.views == nearest), key=lambda row: row.spacing)

    def write(self, folder: Path) -> None:
        """Write the rows to a run or weights folder."""
        write_json(folder / FILE, [asdict(row) for row in self.rows])

    @classmethod
    def read(cls, folder: Path) -> "Spread | None":
        """Read the rows from a folder; None if it has none. Raises WeightsError on an invalid file."""
        path = folder / FILE
        if not path.is_file():
            return None
        values = read_json(path, WeightsError, "delete it")
        try:
            rows = [SpreadRow(**row) for row in values]
            valid = rows and all(
                np.isfinite([r.views, r.spacing, r.psnr, r.plane_warp]).all() for r in rows
            )
        except (TypeError, ValueError) as error:
            raise WeightsError(
                f"{path} does not contain quality by spread ({error}): delete it"
            ) from error
        if not valid:
            raise WeightsError(f"{path} does not contain quality by spread: delete it")
        return cls(rows)


def spacing(cameras: Cameras) -> float:
    """Mean angle in degrees between the viewing direction of each camera [V] and the nearest other one."""
    forward = cameras.c2w[..., :3, 2].double()  # [V, 3]
    cosine = (forward @ forward.mT).clamp(-1, 1)
    cosine.fill_diagonal_(-1)
    return float(torch.rad2deg(torch.acos(cosine.amax(-1))).mean())
