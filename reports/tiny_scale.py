"""What was tried to find the tiny scale: measurements of prototypes, one seed each."""

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent


def experiments() -> pd.DataFrame:
    """One row a setting: dB on held-out scenes, nearest view on the same, rank correlation of depth."""
    return pd.read_csv(FOLDER / "tiny_scale.csv", keep_default_na=True)


def placed_by_hand() -> pd.DataFrame:
    """PSNR in dB of Gaussians placed by hand, at true and at constant depth, by size and opacity."""
    table = pd.read_csv(FOLDER / "tiny_scale_geometry.csv")
    table["true - constant"] = (table["true depth"] - table["constant depth"]).round(2)
    return table
