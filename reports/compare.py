"""`python -m reports.compare STUDY...`: the effects of studies whose runs are in the run store."""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from ablations.__main__ import positive
from ablations.study import SEEDS, Study, find_studies
from ilrm.errors import IlrmError
from ilrm.presets import SCALES
from reports.effects import Effect, Measurements
from reports.paper_tables import QUALITY, UNITS
from reports.write import markdown


def comparison(study: Study, measurements: Measurements) -> pd.DataFrame:
    """One row a variant: its metrics, and each minus the reference's, with 95% intervals; its cost."""
    rows = []
    for variant in study.variants:
        row: dict[str, object] = {"variant": variant.name}
        for metric, digits in QUALITY.items():
            mean = measurements.mean(study, variant, metric)
            effect = measurements.effect(study, variant, study.reference, metric)
            row[UNITS[metric]] = "-" if mean is None else f"{mean.mean:.{digits}f}"
            row[f"{UNITS[metric]}, effect"] = _text(effect, digits, variant is study.reference)
        mean = measurements.mean(study, variant, "psnr")
        if mean is not None:
            runs = measurements.runs.loc[list(mean.runs)]
            row["seeds x scenes"] = f"{mean.seeds} x {mean.scenes}"
            row["GMACs"] = f"{runs.macs.iloc[0] / 1e9:.3f}"
            row["training (s)"] = f"{runs.training_seconds.median():.0f}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def _text(effect: Effect | None, digits: int, is_reference: bool) -> str:
    if is_reference:
        return "reference"
    if effect is None:
        return "not run yet"
    return f"{effect.mean:+.{digits}f} [{effect.low:+.{digits}f}, {effect.high:+.{digits}f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 2 on a mistake of the user's."""
    parser = argparse.ArgumentParser(prog="python -m reports.compare", description=__doc__)
    parser.add_argument("studies", nargs="+", help="names, paths of TOML files, or all")
    parser.add_argument("--scale", default="tiny", choices=SCALES)
    parser.add_argument("--seeds", type=positive, default=SEEDS)
    options = parser.parse_args(arguments)
    try:
        for study in find_studies(options.studies):
            measurements = Measurements.stored(study, options.scale, options.seeds)
            print(f"{study.title or study.name}, {options.scale} scale. {study.claim}\n")
            print(markdown(comparison(study, measurements), index=False))
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
