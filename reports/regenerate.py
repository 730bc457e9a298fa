"""Generation of reports/output/ from the records: reports of the tiny scale in that folder itself, those of
other recorded scales in subfolders.
"""

from ablations.study import SCALE_FIELDS
from ilrm.config import ModelConfig
from ilrm.presets import run_config
from ilrm.runs.records import STUDIES, SWEEPS, recorded_runs
from ilrm.system.paths import PROJECT
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
from reports.figures.showcase import SMALL, compare_baselines, pretrained
from reports.figures.study_figures import study_figures
from reports.figures.sweep_figures import sweep_figures
from reports.figures.tradeoff_figures import tradeoff_figures
from reports.model_card import model_card
from reports.power import power
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
from reports.tables.paper_tables import long_table, table_names, wide_table
from reports.write import OUTPUT, Writer, markdown


def regenerate(check: bool, models: bool) -> list[str]:
    """Write the files, or with `check` only compare them; returns the names of stale files.

    `models`: include figures and tables that need trained models and generated rooms (takes minutes).
    """
    stale: list[str] = []
    for folder in sorted(path for path in STUDIES.iterdir() if path.is_dir()):
        writer = Writer(OUTPUT if folder.name == "tiny" else OUTPUT / folder.name, check)
        measurements = Measurements.recorded(folder.name)
        paper(writer, measurements)
        claims(writer, measurements)
        costs(writer, measurements)
        sweeps = sweep_figures(SWEEPS / folder.name)
        tradeoffs = tradeoff_figures() if folder.name == "tiny" else {}
        for name, figure in (study_figures(measurements) | sweeps | tradeoffs).items():
            writer.figure(f"figures/{name}", figure)
        writer.clean("tables")
        writer.clean("figures")
        if folder.name == "tiny":
            writer.table("evaluations", evaluations_table(), evaluations_notes())
        if folder.name == "tiny" and models:
            base(writer)
            pretrained(writer)
            compare_baselines(writer)
            writer.clean("pictures")
        stale += [str(writer.folder.relative_to(PROJECT) / name) for name in writer.stale]
    card = Writer(PACKAGED / SMALL, check)
    card.text("README.md", model_card(SMALL))
    stale += [str(card.folder.relative_to(PROJECT) / name) for name in card.stale]
    return stale


def paper(writer: Writer, measurements: Measurements) -> None:
    """Tables 1 to 18 and Figure 2, with published and measured values."""
    for table in table_names():
        long = long_table(table, measurements)
        name = "figure_2" if table == "fig2" else f"table_{int(table):02d}"
        writer.table(f"tables/{name}", *wide_table(long), long)


def claims(writer: Writer, measurements: Measurements) -> None:
    """The claims scorecard, and the statistical power of its studies."""
    judged = judge(measurements)
    table = scorecard(judged, measurements.scale)
    verdicts = [entry.verdict for entry in judged]
    resolved = verdicts.count(CONFIRMED) + verdicts.count(CONTRADICTED)
    fields = ", ".join(f"{k}={v}" for k, v in SCALE_FIELDS.get(measurements.scale, {}).items())
    notes = [
        f"{resolved} of {len(verdicts)} claims resolved: {verdicts.count(CONFIRMED)} confirmed, "
        f"{verdicts.count(CONTRADICTED)} contradicted",
        f"effects at the {measurements.scale} scale ({fields}), paired over the same seeds and held-out "
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


def costs(writer: Writer, measurements: Measurements) -> None:
    """Counted costs of the paper's configurations, and costs measured at this scale."""
    if measurements.scale == "tiny":
        counted(writer)
    for number, benchmark in enumerate(recorded_benchmarks(measurements.scale)):
        name = f"benchmark_{number + 1}" if number else "benchmark"
        memory_is = "counted" if benchmark.about["memory_is"] == "counted" else "measured"
        notes = [
            benchmark.provenance,
            "median [10%, 90%] of repeated calls, synchronised and after warm-up; each configuration is "
            "followed by full attention at the same size; untrained weights, random images",
            f"memory is {memory_is}: peak of all tensors, including weights; training: MSE loss, without "
            "activation checkpointing",
            "only two calls if one takes longer than two seconds; on a shared machine, medians of the same "
            "configuration vary by up to 40% between runs",
            "floor: the larger of FLOPs over matrix throughput, and weights and tokens over memory "
            "bandwidth; both rates are the best measured before and after the benchmark",
        ]
        writer.table(name, benchmark.text(), notes, benchmark.rows)
        writer.figure(f"figures/{name}_against_views", measured_against_views(benchmark))
        quality = quality_against_time(benchmark, measurements)
        if quality is not None:
            writer.figure(f"figures/{name}_quality_against_time", quality)


def counted(writer: Writer) -> None:
    """Tables and figures of counted costs at the paper's configurations."""
    note = (
        "one MAC is two FLOPs; norms, activations and ray geometry (below one percent) are left out"
    )
    three = (
        "closed forms of ilrm.cost, and counts of the model on the meta device by fvcore and torch"
    )
    writer.table("costs", counts_text(), [note, three], counts())
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
    writer.table("costs_memory_measured", training_memory_measured(), [measured])
    writer.figure("figures/costs_against_views", cost_against_views())
    writer.figure("figures/costs_against_resolution", cost_against_resolution())


def base(writer: Writer) -> None:
    """Figures and metrics of the recorded base runs at the tiny scale."""
    runs = recorded_runs(run_config("tiny"))
    longest = max(runs.values(), key=lambda run: run.config.train.steps)
    others = {name: run for name, run in runs.items() if run is not longest}
    writer.figure("base_learning_curve", figures.learning_curve(longest, runs.get("base")))
    writer.figure("base_renders", figures.renders(longest))
    names = {run.folder: name for name, run in runs.items()}
    table = tables.metrics(longest, others).rename(index={"this run": names[longest.folder]})
    writer.text("base_metrics.md", markdown(table))
