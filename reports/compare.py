"""Print the effects of studies from the runs in the run store: `python -m reports.compare STUDY...`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ablations.arguments import KINDS, add_scale
from ablations.study import Study, find_studies
from ilrm.system.cli import Command
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the studies and the scale."""
    parser.add_argument("studies", nargs="+", help=KINDS)
    add_scale(parser)


def perform(options: argparse.Namespace) -> int:
    """Print the comparison."""
    # imported here because torch and pandas take seconds to load, and --help should not wait for them
    from reports.effects import Measurements
    from reports.write import markdown

    for study in find_studies(options.studies):
        measurements = Measurements.stored(study, options.scale)
        print(f"{study.title or study.name}, {options.scale} scale. {study.claim}\n")
        print(markdown(comparison(study, measurements), index=False))
    print(
        "Effects are relative to the first variant, with 95% intervals over seeds and scenes "
        "(with one seed: over scenes; with one of each: none)"
    )
    return 0


main = Command("python -m reports.compare", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
