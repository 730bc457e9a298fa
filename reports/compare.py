"""`python -m reports.compare STUDY...`: print the effects of studies from the runs in the run store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ablations.study import Study, find_studies
from ilrm.errors import IlrmError
from ilrm.presets import SCALES
from ilrm.vocabulary import METRICS, QUALITY

if TYPE_CHECKING:
    import pandas as pd

    from reports.effects import Measurements


def comparison(study: Study, measurements: Measurements) -> pd.DataFrame:
    """One row per variant: metrics, effects relative to the reference with 95% intervals, and cost."""
    import pandas as pd

    rows = []
    for variant in study.variants:
        row: dict[str, object] = {"variant": variant.name}
        for metric in QUALITY:
            unit, digits = METRICS[metric].heading, METRICS[metric].digits
            mean = measurements.mean(study, variant, metric)
            effect = measurements.effect(study, variant, study.reference, metric)
            row[unit] = "-" if mean is None else f"{mean.mean:.{digits}f}"
            missing = "not run yet" if mean is None else "the reference has not been run yet"
            text = missing if effect is None else effect.text(digits)
            row[f"{unit}, effect"] = "reference" if variant is study.reference else text
        mean = measurements.mean(study, variant, "psnr")
        if mean is not None:
            runs = measurements.runs.loc[list(mean.runs)]
            row["seeds x scenes"] = f"{mean.seeds} x {mean.scenes}"
            row["GMACs"] = f"{runs.macs.iloc[0] / 1e9:.3f}"
            row["training (s)"] = f"{runs.training_seconds.median():.0f}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison and return the exit status: 2 on a user error."""
    parser = argparse.ArgumentParser(prog="python -m reports.compare", description=__doc__)
    parser.add_argument("studies", nargs="+", help="names, paths of TOML files, or all")
    parser.add_argument("--scale", default="tiny", choices=SCALES)
    options = parser.parse_args(arguments)

    # imported here because torch and pandas take seconds to load, and --help should not wait for them
    from reports.effects import Measurements
    from reports.write import markdown

    try:
        for study in find_studies(options.studies):
            measurements = Measurements.stored(study, options.scale)
            print(f"{study.title or study.name}, {options.scale} scale. {study.claim}\n")
            print(markdown(comparison(study, measurements), index=False))
        print(
            "Effects are relative to the first variant, with 95% intervals over seeds and scenes "
            "(with one seed: over scenes)"
        )
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
