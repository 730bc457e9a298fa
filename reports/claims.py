"""The claims scorecard: the paper's claims and effects, our measured effects, and verdicts."""

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ablations.study import Study, Variant, studies
from ilrm import cost
from ilrm.config import ModelConfig
from ilrm.presets import run_config
from ilrm.vocabulary import METHODS, METRICS, PLANES
from reports.effects import Effect, Measurements
from reports.published import row_pair

TOML = Path(__file__).parent / "claims.toml"
MANY_SEEDS = 100  # largest number of required seeds that is reported exactly
SEEDS_NEEDED = 3  # minimum number of seeds for a verdict

CONFIRMED, CONTRADICTED, NOT_RESOLVED, NOT_MEASURED = (
    "confirmed",
    "contradicted",
    "not resolved",
    "not measured",
)


@dataclass(frozen=True)
class Claim:
    """The claim that one variant is better than another, or worse by less than a margin."""

    text: str
    source: str  # where the paper makes the claim
    study: str
    better: str  # variants of the study
    worse: str
    metric: str = "psnr"
    loses_less_than: float | None = None  # margin, in the metric's unit
    paper: float | None = None  # the paper's effect, if it does not follow from table rows
    caveat: str = ""  # differences from the paper's comparison
    against_length: bool = False  # the effect is also measured at other numbers of training steps

    @property
    def threshold(self) -> float:
        """The value that the effect is compared with."""
        return self.loses_less_than or 0.0

    def verdict(self, effect: Effect | None) -> str:
        """Verdict from the interval alone, which must be entirely on one side of the threshold."""
        if effect is None:
            return NOT_MEASURED
        beyond = effect.low > self.threshold or effect.high < self.threshold
        if effect.seeds < SEEDS_NEEDED or not beyond:
            return NOT_RESOLVED
        above = effect.low > self.threshold
        return CONFIRMED if above != (self.loses_less_than is not None) else CONTRADICTED


@dataclass(frozen=True)
class Judged:
    """A claim with the paper's effect and ours: better minus worse variant (for LPIPS, the reverse).

    `rivals`: the effect, in dB, on each method that learns nothing, if the variants have other inputs.
    """

    claim: Claim
    paper: float | None
    effect: Effect | None
    rivals: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return self.claim.verdict(self.effect)

    @property
    def reason(self) -> str:
        """Note for the reader of the verdict: the effort needed to resolve it, and the claim's caveat."""
        reason = self.claim.caveat
        if self.effect is not None and self.verdict == NOT_RESOLVED:
            needed = _needed_effort(self.effect, self.claim.threshold)
            reason = _joined(needed, reason)
        words = (f"{METHODS[name]} {gain:+.2f} dB" for name, gain in self.rivals.items())
        return _joined(", ".join(("with the same inputs", *words)) if self.rivals else "", reason)


@dataclass(frozen=True)
class CountedClaim:
    """A claim about cost, checked by counting at the paper's configuration."""

    text: str
    source: str
    count: str  # key of COUNTS
    paper: float  # as printed in the paper
    tolerance: float  # rounding tolerance of the printed value
    quality: str = ""  # text of the claim about the quality that the saving costs

    @property
    def value(self) -> float:
        return COUNTS[self.count]()

    @property
    def verdict(self) -> str:
        return CONFIRMED if abs(self.value - self.paper) <= self.tolerance else CONTRADICTED


COUNTS: dict[str, Callable[[], float]] = {
    "half_share": lambda: cost.table8_gflops()[1] / cost.table8_gflops()[0],
    "quarter_share": lambda: cost.table8_gflops()[2] / cost.table8_gflops()[0],
    "design_share": lambda: cost.figure2_ratio()[3],
    "million_parameters": lambda: cost.parameters(ModelConfig()) / 1e6,
}


def counted_claims() -> list[CountedClaim]:
    """All claims about cost in claims.toml."""
    return [
        CountedClaim(**entry)
        for entry in tomllib.loads(TOML.read_text(encoding="utf-8"))["counted"]
    ]


def claims() -> list[Claim]:
    """All claims about quality in claims.toml, in file order."""
    return [Claim(**entry) for entry in tomllib.loads(TOML.read_text(encoding="utf-8"))["claim"]]


def judge(measurements: Measurements) -> list[Judged]:
    """Judge every claim on the recorded runs of a scale."""
    known = studies()
    return [judge_claim(claim, known[claim.study], measurements) for claim in claims()]


def judge_claim(claim: Claim, study: Study, measurements: Measurements) -> Judged:
    """Judge a claim on the recorded runs of its study."""
    by_name = {variant.name: variant for variant in study.variants}
    better, worse = by_name[claim.better], by_name[claim.worse]
    if not METRICS[claim.metric].higher_is_better:
        better, worse = worse, better
    effect = measurements.effect(study, better, worse, claim.metric)
    rivals = {} if effect is None else _on_rivals(better, worse, study, measurements)
    return Judged(claim, _paper_effect(claim, better, worse), effect, rivals)


def _on_rivals(
    better: Variant, worse: Variant, study: Study, measurements: Measurements
) -> dict[str, float]:
    """What the better variant's inputs bring plane warp and sweep (dB); empty for equal inputs."""
    first, second = (
        run_config(**study.parameters(variant, measurements.scale, 0))
        for variant in (better, worse)
    )
    if first.evaluation_data.held_out_hash == second.evaluation_data.held_out_hash:
        return {}
    gains = {}
    for method in PLANES:
        levels = [measurements.baseline(config, method) for config in (first, second)]
        if levels[0] is not None and levels[1] is not None:
            gains[method] = levels[0] - levels[1]
    return gains


def _paper_effect(claim: Claim, better: Variant, worse: Variant) -> float | None:
    pair = row_pair(better, worse)
    if claim.paper is not None or pair is None:
        return claim.paper
    a, b = (row.value(claim.metric) for row in pair)
    return None if a is None or b is None else a - b


def _regime(entry: Judged, unmet: Sequence[str]) -> str:
    """Note on a verdict at a scale whose regime check fails."""
    resolved = entry.verdict in (CONFIRMED, CONTRADICTED)
    return f"at a scale that fails: {', '.join(unmet)}" if resolved and unmet else ""


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _needed_effort(effect: Effect, threshold: float) -> str:
    if effect.seeds < SEEDS_NEEDED:
        return f"{effect.seeds} of {SEEDS_NEEDED} seeds measured"
    seeds = effect.seeds_to_resolve(threshold)
    if math.isinf(seeds):
        return f"an effect of this size would need more than {effect.scenes} scenes"
    if seeds > MANY_SEEDS:
        return f"an effect of this size would need more than {MANY_SEEDS} seeds"
    return f"an effect of this size would need about {max(seeds, effect.seeds + 1):.0f} seeds"


def _price(counted: CountedClaim, judged: Sequence[Judged], scale: str) -> str:
    """Note on the measured quality that a saving costs."""
    own = [entry for entry in judged if entry.claim.text == counted.quality]
    if not own or own[0].effect is None:
        return ""
    claim = own[0].claim
    digits, unit = METRICS[claim.metric].digits, METRICS[claim.metric].unit
    effect = own[0].effect.text(digits)
    return f"quality at {scale}: {claim.better} minus {claim.worse} is {effect} {unit}"


def scorecard(judged: list[Judged], scale: str, unmet: Sequence[str] = ()) -> pd.DataFrame:
    """One row per claim: source, the paper's effect, our effect with interval and seeds, verdict and note.

    Claims about cost come last; they are counted and have no interval.
    """
    rows = []
    for entry in judged:
        claim, effect, metric = entry.claim, entry.effect, METRICS[entry.claim.metric]
        unit, digits = metric.unit or metric.label, metric.digits
        rows.append(
            {
                "claim": claim.text,
                "place in the paper": claim.source,
                "paper's effect": "-"
                if entry.paper is None
                else f"{entry.paper:+.{digits}f} {unit}",
                f"effect at {scale}": "-" if effect is None else f"{effect.text(digits)} {unit}",
                "holds if": f"effect {'<' if claim.loses_less_than else '>'} {claim.threshold:g}",
                "seeds x scenes": "-" if effect is None else f"{effect.seeds} x {effect.scenes}",
                "verdict": entry.verdict,
                "note": _joined(_regime(entry, unmet), entry.reason),
            }
        )
    for counted in counted_claims():
        price = _price(counted, judged, scale)
        rows.append(
            {
                "claim": counted.text,
                "place in the paper": counted.source,
                "paper's effect": f"{counted.paper:g}",
                f"effect at {scale}": f"{counted.value:.4g}",
                "holds if": f"within {counted.tolerance:g}",
                "seeds x scenes": "counted",
                "verdict": counted.verdict,
                "note": _joined("counted at the paper's configuration", price),
            }
        )
    return pd.DataFrame(rows)
