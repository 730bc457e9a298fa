"""Generation of reports/output/ from the records.

Reports of the tiny scale are in that folder itself, those of other recorded scales in subfolders. The model
card and the results in README.md are generated, too.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ablations.record import has_runs
from ilrm.config import ModelConfig
from ilrm.errors import RunError
from ilrm.presets import SCALES, run_config
from ilrm.runs.records import SWEEPS, recorded_runs
from ilrm.system.paths import CHECKOUT
from ilrm.weights.state import PACKAGED
from reports.claims import CONFIRMED, CONTRADICTED, judge, scorecard
from reports.effects import Measurements
from reports.figures import run_figures as figures
from reports.figures.cost_figures import (
    cost_against_resolution,
    cost_against_views,
    measured_against_views,
    quality_against_time,
)
from reports.figures.length_figures import effects_against_length, trend_table, trends
from reports.figures.showcase import SMALL, compare_baselines, pretrained, quickstart
from reports.figures.study_figures import study_figures
from reports.figures.sweep_figures import sweep_figures
from reports.figures.tradeoff_figures import tradeoff_figures
from reports.full_attention import beside_costs
from reports.model_card import model_card
from reports.power import power
from reports.readme import README, with_results
from reports.regime import (
    failed,
    regime,
    regime_of_evaluations,
    regime_of_scales,
    regime_table,
)
from reports.tables import run_tables as tables
from reports.tables.cost_tables import (
    counts,
    counts_text,
    floors,
    parts,
    recorded_benchmarks,
    training_memory_measured,
    training_memory_table,
)
from reports.tables.evaluation_tables import evaluations_notes, evaluations_table
from reports.tables.paper_tables import long_table, table_names, table_title, wide_table
from reports.tables.training_cost_tables import NOTES as TRAINING_NOTES
from reports.tables.training_cost_tables import training_costs
from reports.unseen_views import unseen_views_table
from reports.write import OUTPUT, Writer, markdown


@dataclass(frozen=True)
class Report:
    """A part of the reports: the function that writes it, its scales and its folder."""

    write: Callable[[Writer, Measurements], None]
    scales: tuple[str, ...] = SCALES  # scales from whose records it is made
    renders: bool = False  # whether it renders held-out rooms with trained models (minutes)
    folder: str = ""  # subfolder that holds only this part


def regenerate(
    check: bool, models: bool, extra: Collection[str] = (), out: Path | None = None
) -> list[str]:
    """Write the reports, or with `check` only compare them; return the names of those that were stale.

    `models`: include those that render held-out rooms with trained models (minutes, as rooms are generated).
    `extra`: more formats, see `Writer`. `out`: the folder to write to; by default reports/output/ of the
    checkout, with the model card and the results in README.md. Raises RunError if there is no checkout.
    """
    if out is None and CHECKOUT is None:
        raise RunError(
            "reports/output/ belongs to a checkout, and this is an installed package: give --out"
        )
    folder = OUTPUT if out is None else out
    stale: list[str] = []
    for scale in filter(has_runs, SCALES):
        measurements = Measurements.recorded(scale)
        with Writer(folder if scale == DEFAULT else folder / scale, check, extra) as writer:
            for report in REPORTS:
                if scale in report.scales and (models or not report.renders):
                    writer.tolerant = report.renders
                    report.write(writer, measurements)
            for name in {r.folder for r in REPORTS if r.folder and (models or not r.renders)}:
                writer.clean(name)
        stale += _stale(writer)
    return stale if out is not None or CHECKOUT is None else stale + _pages(CHECKOUT, check)


def _pages(checkout: Path, check: bool) -> list[str]:
    """Write or check the model card and the results in README.md; returns the names of stale files."""
    with Writer(PACKAGED / SMALL, check) as card:
        card.text("README.md", model_card(SMALL))
    with Writer(checkout, check) as front:
        front.text(README, with_results((checkout / README).read_text(encoding="utf-8")))
    return _stale(card) + _stale(front)


def _stale(writer: Writer) -> list[str]:
    """The stale files of a writer, relative to the working folder."""
    return [os.path.relpath(writer.folder / name) for name in writer.stale]


def paper(writer: Writer, measurements: Measurements) -> None:
    """Write Tables 1 to 18 and Figure 2, with published and measured values."""
    for table in table_names():
        long = long_table(table, measurements)
        name = "figure_2" if table == "fig2" else f"table_{int(table):02d}"
        caption = f"{table_title(table)} of the paper, published and measured. {CAPTION}"
        writer.table(f"tables/{name}", *wide_table(long), long, caption)


def claims(writer: Writer, measurements: Measurements) -> None:
    """Write the regime check, the scorecard, and the effects that its studies can resolve."""
    conditions = regime(measurements)
    writer.table("regime", regime_table(conditions), [REGIME_NOTE])
    judged = judge(measurements)
    table = scorecard(judged, measurements.scale, failed(conditions))
    verdicts = [entry.verdict for entry in judged]
    resolved = verdicts.count(CONFIRMED) + verdicts.count(CONTRADICTED)
    unknown = [f"{c.name} ({c.word})" for c in conditions if c.met is None]
    notes = [
        f"regime of this scale (regime.md): {_listed('fails', failed(conditions))}, "
        f"{_listed('open', unknown)}",
        f"{resolved} of {len(verdicts)} claims resolved: {verdicts.count(CONFIRMED)} confirmed, "
        f"{verdicts.count(CONTRADICTED)} contradicted",
        f"effects at the {measurements.scale} scale, paired over the same seeds and held-out "
        "scenes, with 95% bootstrap intervals over both, widened for few seeds (reports/effects.py); "
        "positive: the first-named variant is better. Of 30 such intervals, one or two are expected to miss "
        "by chance",
    ]
    writer.table("claims", table, notes)
    notes = [
        "PSNR differences, better minus worse variant, over seeds and held-out scenes: variance components "
        "(two-way ANOVA), and the half width of the resulting 95% interval",
        "the paper's effect at our level: scaled so that its size relative to the better variant's PSNR is "
        "the same as in the paper",
    ]
    writer.table("power", power(judged, measurements), notes)


def _listed(word: str, names: list[str]) -> str:
    return f"{word}: {', '.join(names) or 'none'}"


def benchmarks(writer: Writer, measurements: Measurements) -> None:
    """Write the benchmarks recorded at this scale; beside the default scale's, those at the paper's own."""
    found = [
        (f"benchmark_{number + 1}" if number else "benchmark", benchmark)
        for number, benchmark in enumerate(recorded_benchmarks(measurements.scale))
    ]
    if measurements.scale == DEFAULT:
        found += [
            (f"benchmark_paper_{number + 1}" if number else "benchmark_paper", benchmark)
            for number, benchmark in enumerate(recorded_benchmarks("paper"))
        ]
    for name, benchmark in found:
        notes = [
            benchmark.provenance,
            "median [10%, 90%] of repeated calls, synchronised and after warm-up; each configuration is "
            "followed by full attention at the same size; untrained weights, random images",
            benchmark.memory_note,
            "only two calls if one takes longer than two seconds; on a shared processor, medians of the same "
            "configuration vary by up to 40% between runs",
            "floor: the larger of FLOPs over matrix throughput, and weights and tokens over memory "
            "bandwidth; both rates are the best measured before and after the benchmark",
            beside_costs(measurements),
        ]
        writer.table(name, benchmark.text(), notes, benchmark.rows)
        writer.figure(f"figures/{name}_against_views", measured_against_views(benchmark))
        quality = quality_against_time(benchmark, measurements)
        if quality is not None:
            writer.figure(f"figures/{name}_quality_against_time", quality)


def costs(writer: Writer, measurements: Measurements) -> None:
    """Write tables and figures of costs at the paper's own configurations."""
    note = (
        "one MAC is two FLOPs; norms, activations and ray geometry (below one percent) are left out"
    )
    three = (
        "closed forms of ilrm.cost, and counts of the model on the meta device by fvcore and torch"
    )
    writer.table("costs", counts_text(), [note, three, beside_costs(measurements)], counts())
    writer.table("costs_parts", parts(ModelConfig(), 8, 256, 256), ["(8,H,F) at 256x256", note])
    floor = "floor: the larger of FLOPs over the GPU's dense bf16 rate, and weights and tokens over its "
    floor += "memory bandwidth"
    writer.table("costs_floors", floors(), [floor])
    saved = "encoder only: tensors saved for the backward pass with bf16 autocast on CUDA, by closed form; "
    saved += "the paper's number also includes weights, optimiser, renderer and loss (8 views, batch size 16)"
    writer.table("costs_memory", training_memory_table(), [saved])
    measured = "fp32; a step on fake tensors without data; saved: storages held by autograd between forward "
    measured += (
        "and backward pass, without weights; peak: all tensors during an AdamW step; encoder only, "
    )
    measured += "without renderer and loss"
    writer.table("costs_training", training_costs(), TRAINING_NOTES)
    writer.table("costs_memory_measured", training_memory_measured(), [measured])
    writer.figure("figures/costs_against_views", cost_against_views())
    writer.figure("figures/costs_against_resolution", cost_against_resolution())


def base(writer: Writer, _: Measurements) -> None:
    """Write figures and metrics of the tiny scale's recorded base runs."""
    runs = recorded_runs(run_config(DEFAULT))
    longest = max(runs.values(), key=lambda run: run.config.train.steps)
    others = {name: run for name, run in runs.items() if run is not longest}
    writer.figure("base_learning_curve", figures.learning_curve(longest, runs.get("base")))
    writer.figure("base_renders", figures.renders(longest))
    names = {run.folder: name for name, run in runs.items()}
    table = tables.metrics(longest, others).rename(index={"this run": names[longest.folder]})
    writer.text("base_metrics.md", markdown(table))


def of_studies(writer: Writer, measurements: Measurements) -> None:
    """Write tables and figures of this scale's studies and sweeps."""
    sweeps = sweep_figures(SWEEPS / measurements.scale)
    for name, figure in (study_figures(measurements) | sweeps).items():
        writer.figure(f"figures/{name}", figure)


def lengths(writer: Writer, measurements: Measurements) -> None:
    """Write effects at several lengths of training."""
    chosen = trends(measurements)
    if chosen:
        notes = [
            "better minus worse variant, as in the scorecard; one seed: interval over scenes only"
        ]
        writer.table("effects_against_length", trend_table(chosen), notes)
    figure = effects_against_length(chosen, measurements.scale)
    if figure is not None:
        writer.figure("figures/effects_against_length", figure)


def unseen_views(writer: Writer, measurements: Measurements) -> None:
    """Write what views beyond the trained number cost, and which part of it is due to attention."""
    table = unseen_views_table(measurements.scale)
    if table is not None:
        writer.table("unseen_views", table, UNSEEN_VIEWS_NOTES)


def tradeoffs(writer: Writer, _: Measurements) -> None:
    """Write figures of seconds against quality, one per capture."""
    for name, figure in tradeoff_figures().items():
        writer.figure(f"figures/{name}", figure)


def evaluations(writer: Writer, _: Measurements) -> None:
    """Write tables of all recorded evaluations of weights on data sets."""
    writer.table("evaluations", evaluations_table(), evaluations_notes())
    writer.table("regime_of_evaluations", regime_of_evaluations(), [REGIME_NOTE])
    writer.table("regime_of_scales", regime_of_scales(), [REGIME_NOTE, PAPER_NOTE])


def pictures(writer: Writer, _: Measurements) -> None:
    """Write renders, attention maps and layer-by-layer results of trained weights."""
    quickstart(writer)
    pretrained(writer)
    compare_baselines(writer)


CAPTION = "Effects are those against the row marked as reference, with 95% intervals."
REGIME_NOTE = (
    "the half-resolution ceiling is the held-out targets at half resolution, enlarged; the plane warp blends "
    "the inputs at one depth for all scenes. Where a condition is not met, a verdict says how the scale "
    "learns, not how scenes are reconstructed"
)
UNSEEN_VIEWS_NOTES = [
    "PSNR minus that with the trained number of views, over seeds and held-out scenes, with 95% intervals; "
    "the views beyond that number are added to those",
    "Gaussians of the trained number: all views attend to each other, but those of the added views are not "
    "drawn",
    "thinned: every opacity o becomes 1 - (1 - o)^(trained number / views), so that more Gaussians on the "
    "same surface cover no more than the trained number did; beside it the trained number of views alone, "
    "thinned by the same share",
]
PAPER_NOTE = (
    "paper: RealEstate10K and its trained models are not at hand. The paper gives self-attention as worth "
    "5.91 dB (Table 9), and no plane warp"
)
DEFAULT = "tiny"  # the scale whose reports lie in reports/output/ itself
REPORTS = (
    Report(paper, folder="tables"),
    Report(claims),
    Report(costs, (DEFAULT,)),  # counted at the paper's own configurations
    Report(benchmarks),
    Report(of_studies, folder="figures"),
    Report(lengths),
    Report(unseen_views),
    Report(tradeoffs, (DEFAULT,)),
    Report(evaluations, (DEFAULT,)),
    Report(base, (DEFAULT,), renders=True),
    Report(pictures, (DEFAULT,), renders=True, folder="pictures"),
)
