"""Experiments that led to the tiny scale: measurements of prototypes, one seed each."""

from pathlib import Path

import pandas as pd

from ilrm.system.tables import read_table

FOLDER = Path(__file__).parent


def experiments() -> pd.DataFrame:
    """One row per setting: PSNR in dB on held-out scenes, PSNR of the nearest view, depth correlation."""
    return read_table(FOLDER / "tiny_scale.csv")


def placed_by_hand() -> pd.DataFrame:
    """PSNR in dB of manually placed Gaussians, at ground-truth and at constant depth, by size and opacity."""
    table = read_table(FOLDER / "tiny_scale_geometry.csv")
    table["true - constant"] = (table["true depth"] - table["constant depth"]).round(2)
    return table
