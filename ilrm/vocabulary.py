"""Metrics and methods, with the labels and decimals that tables, figures, claims and model cards use."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """Label, decimals, direction and unit of a metric."""

    label: str
    digits: int
    higher_is_better: bool = True
    unit: str = ""

    @property
    def heading(self) -> str:
        """The label with its unit, for table columns and axes."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS = {
    "psnr": Metric("PSNR", 2, unit="dB"),
    "ssim": Metric("SSIM", 3),
    "lpips": Metric("LPIPS", 3, higher_is_better=False),
    "depth_spearman": Metric("depth rank correlation per view", 2),
    "depth_abs_rel": Metric("depth abs. rel.", 3, higher_is_better=False),
    "depth_rmse": Metric("depth RMSE", 2, higher_is_better=False, unit="normalised units"),
}

QUALITY = ("psnr", "ssim", "lpips")  # measured on every image
DEPTH = ("depth_spearman", "depth_abs_rel", "depth_rmse")  # need ground-truth depth

# The model and the baselines, all measured on the same target views, in the order of the tables.
METHODS = {
    "model": "model",
    "nearest_view": "nearest input view",
    "mean_colour": "mean colour",
    "plane_warp": "plane warp",
    "plane_sweep": "plane sweep",
    "true_depth_warp": "warp at true depth",
    "half_resolution": "half-resolution ceiling",
}
# Baselines with the same inputs as the model; the other two use the targets, or their true depth.
RIVALS = ("nearest_view", "mean_colour", "plane_warp", "plane_sweep")
PLANES = ("plane_warp", "plane_sweep")  # the strongest of them


def interval(mean: float, low: float, high: float, digits: int, signed: bool = False) -> str:
    """Format "mean [low, high]" with this many decimals; with `signed`, also print plus signs.

    NaN as low and high means that there is no interval.
    """
    sign = "+" if signed else ""
    if math.isnan(low) or math.isnan(high):
        return f"{mean:{sign}.{digits}f} [no interval]"
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
