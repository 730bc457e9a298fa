"""The quality of full attention, the costlier design that iLRM replaces, as a note beside all costs."""

from ablations.study import studies
from reports.effects import Effect, Measurements

STUDY, ILRM, FULL = "equal_gaussians", "iLRM (4,H,F)", "full attention (4,F,F)"


def advantage(measurements: Measurements) -> Effect | None:
    """PSNR of full attention, one Gaussian per pixel (Figure 2 (a)), minus iLRM's; None if not measured."""
    study = studies()[STUDY]
    by_name = {variant.name: variant for variant in study.variants}
    return measurements.effect(study, by_name[FULL], by_name[ILRM], "psnr")


def beside_costs(measurements: Measurements) -> str:
    """Note for tables of costs."""
    effect = advantage(measurements)
    gain = "not measured" if effect is None else f"{effect.text(2)} dB"
    scale = measurements.scale
    return f"what its cost buys: PSNR of {FULL} minus {ILRM} at the {scale} scale: {gain}"
