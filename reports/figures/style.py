"""Common style of all figures: sizes, fonts, and colour-blind safe colours (Okabe and Ito)."""

import matplotlib
import matplotlib.pyplot as plt

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
