"""The quality of full attention, the costlier design that iLRM replaces: it stands beside all costs."""

from ablations.study import studies
from reports.effects import Effect, Measurements

STUDY, ILRM, FULL = "equal_gaussians", "iLRM (4,H,F)", "full attention (4,F,F)"


def advantage(measurements: Measurements) -> Effect | None:
    """PSNR of full attention, a Gaussian per pixel (Figure 2 (a)), minus iLRM's; None if unmeasured."""
    study = studies()[STUDY]
    by_name = {variant.name: variant for variant in study.variants}
    return measurements.effect(study, by_name[FULL], by_name[ILRM], "psnr")


def beside_costs(measurements: Measurements) -> str:
    """A note for tables of costs."""
    effect = advantage(measurements)
    found = "not measured" if effect is None else f"{effect.text(2)} dB"
    return f"what its cost buys: PSNR of {FULL} minus {ILRM} at the {measurements.scale} scale: {found}"
