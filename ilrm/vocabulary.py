"""One vocabulary for tables, figures, claims and cards: metrics and methods, their labels and digits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is named and printed."""

    label: str
    digits: int
    higher_is_better: bool = True
    unit: str = ""

    @property
    def heading(self) -> str:
        """The label with its unit, for columns and axes."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


METRICS = {
    "psnr": Metric("PSNR", 2, unit="dB"),
    "ssim": Metric("SSIM", 3),
    "lpips": Metric("LPIPS", 3, higher_is_better=False),
    "depth_spearman": Metric("depth rank correlation per view", 2),
    "depth_abs_rel": Metric("depth abs. rel.", 3, higher_is_better=False),
    "depth_rmse": Metric("depth RMSE", 2, higher_is_better=False, unit="normalised units"),
}

QUALITY = ("psnr", "ssim", "lpips")  # of every image
DEPTH = ("depth_spearman", "depth_abs_rel", "depth_rmse")  # where true depth is known

# What is measured on the same targets, in the order in which tables show it.
METHODS = {
    "model": "model",
    "nearest_view": "nearest input view",
    "mean_colour": "mean colour",
    "plane_warp": "plane warp",
    "plane_sweep": "plane sweep",
    "true_depth_warp": "warp at true depth",
    "half_resolution": "half-resolution ceiling",
}
# Rivals that see what the model sees; the other two know the targets' depth or the targets.
RIVALS = ("nearest_view", "mean_colour", "plane_warp", "plane_sweep")


def interval(mean: float, low: float, high: float, digits: int, signed: bool = False) -> str:
    """Text "mean [low, high]" with this many decimals, each with its sign if asked for."""
    sign = "+" if signed else ""
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
