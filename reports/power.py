"""Statistical power of the studies: noise of seeds and scenes against the paper's effects."""

import math

import pandas as pd

from ablations.study import studies
from reports.claims import Judged
from reports.effects import Effect, Measurements, Z, variance_components
from reports.published import row_pair


def expected_half_width(effect: Effect, seeds: int) -> float:
    """Expected half width of the 95% interval for this many seeds on the same scenes (normal quantiles)."""
    seed, scene, rest = variance_components(effect.differences)
    n = effect.scenes
    return Z * math.sqrt(seed / seeds + scene / n + rest / (seeds * n))


def power(judged: list[Judged], measurements: Measurements) -> pd.DataFrame:
    """One row per PSNR claim with at least two seeds: its noise, and the paper's effect at our level of PSNR.

    "Resolvable" compares the half width of the scorecard's interval with the paper's effect, scaled by the
    ratio of the PSNR values.
    """
    rows = []
    for entry in judged:
        claim, effect = entry.claim, entry.effect
        if effect is None or effect.seeds < 2 or claim.metric != "psnr":
            continue
        study = studies()[claim.study]
        by_name = {variant.name: variant for variant in study.variants}
        better, worse = by_name[claim.better], by_name[claim.worse]
        level = measurements.mean(study, better, "psnr")
        pair = row_pair(better, worse)
        published = None if pair is None else pair[0].value("psnr")
        scaled = None
        if entry.paper is not None and published is not None and level is not None:
            scaled = abs(entry.paper) / published * level.mean
        seed, scene, rest = variance_components(effect.differences)
        width = (effect.high - effect.low) / 2
        rows.append(
            {
                "claim": claim.text,
                "sd between seeds (dB)": f"{math.sqrt(seed):.2f}",
                "sd between scenes (dB)": f"{math.sqrt(scene):.2f}",
                "residual sd (dB)": f"{math.sqrt(rest):.2f}",
                "half width (dB)": f"{width:.2f}",
                "expected with 6 seeds (dB)": f"{expected_half_width(effect, 6):.2f}",
                "paper's effect at our level (dB)": "-" if scaled is None else f"{scaled:.2f}",
                "resolvable": "-" if scaled is None else "yes" if width < scaled else "no",
            }
        )
    return pd.DataFrame(rows)
