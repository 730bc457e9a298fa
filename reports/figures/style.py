"""Common style of all figures: sizes, fonts, and colour-blind safe colours (Okabe and Ito)."""

import math
from collections.abc import Sequence

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axis import Axis

COLORS = {
    "model": "#0072B2",
    "base": "#E69F00",
    "nearest_view": "#009E73",
    "mean_colour": "#999999",
    "plane_warp": "#CC79A7",
    "plane_sweep": "#D55E00",
    "splat": "#56B4E9",
}


def use() -> None:
    """Apply the style to all figures created after this call, regardless of the user's matplotlibrc."""
    matplotlib.rcdefaults()
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "savefig.bbox": "tight",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "image.interpolation": "nearest",
        }
    )


def plain(text: str) -> str:
    """Escape dollars in a label, as matplotlib would read text between two dollars as mathematics."""
    return text.replace("$", r"\$")


def label_ticks(axis: Axis, places: Sequence[float], form: str = "{:g}") -> None:
    """Ticks at these places alone, written out. On logarithmic axes matplotlib writes powers of ten."""
    axis.set_ticks(list(places), [form.format(place) for place in places])
    axis.set_ticks([], minor=True)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 3, 5 and 7 times powers of ten between the limits of a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 3, 5, 7)]
    return [number for number in numbers if low <= number <= high]
