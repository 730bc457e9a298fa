"""The results in README.md, between two comments, generated from the records."""

from typing import Any

import pandas as pd

from ablations.study import studies
from ilrm.errors import IlrmError
from ilrm.evaluation.summary import Estimate
from ilrm.presets import run_config
from ilrm.runs.records import recorded_runs
from ilrm.runs.store import Run, RunFolder
from ilrm.vocabulary import METHODS, METRICS, PLANES, QUALITY
from ilrm.weights.state import read_weights
from reports.effects import Measurements
from reports.figures.showcase import SMALL
from reports.full_attention import advantage
from reports.model_card import own_evaluations, scene_kind
from reports.tables import run_tables
from reports.write import markdown

README = "README.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"
SHOWN = ("model", *PLANES)  # methods in the table of ilrm-small
PLANE, SWEEP = PLANES
PLANE_TEXT = (
    "**A plane warp** blends the inputs at one depth, **a plane sweep** at a depth per pixel on which they "
    "agree.\nNeither learns anything."
)
CLIPS_VIEWS = 4


def with_results(readme: str) -> str:
    """The text of README.md with its results generated anew. Raises IlrmError if a comment is missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise IlrmError(f"{README} has no lines {BEGIN} and {END}: add them where the results go")
    return f"{before}{BEGIN}\n{results()}\n{END}{after}"


def results() -> str:
    """Results as Markdown: of the base model of the tiny scale, and of the packaged weights."""
    runs = recorded_runs(run_config("tiny"))
    if not runs:
        raise IlrmError("reports/records/runs has no run of the tiny scale's base model: keep it")
    small = own_evaluations(read_weights(SMALL))
    parts = [base_text(runs), markdown(base_table(runs)), small_text(), small_table(small)]
    measurements = Measurements.recorded("tiny")
    parts.append(plane_text(_longest(runs), clips_evaluation(small), measurements))
    parts.append(attention_text(measurements))
    return "\n\n".join(part.strip() for part in parts)


def base_text(runs: dict[str, Run]) -> str:
    """Description of the base model and of the longest of its runs."""
    run = _longest(runs)
    about, data, device = run.metrics, run.config.evaluation_data, run.environment
    return (
        f"**The base model** of the `tiny` scale: {about['parameters'] / 1e6:.2f} M parameters, "
        f"{about['macs'] / 1e9:.3f} GMACs and {about['gaussians']:,} Gaussians per scene.\n"
        f"{run.config.train.steps:,} steps take {about['training_seconds'] / 60:.1f} minutes with "
        f"{device['threads']} threads of {device['device']}.\nMean [95% interval] over {about['scenes']} "
        f"held-out rooms, {data.context_views} input views of {data.image_height}x{data.image_width}, "
        "one seed:"
    )


def base_table(runs: dict[str, Run]) -> pd.DataFrame:
    """PSNR, SSIM and LPIPS of the recorded base runs, the longest first, and of all baselines."""
    longest = _longest(runs)
    others = {_name(run): run for run in runs.values() if run is not longest}
    table = run_tables.metrics(longest, others).rename(index={"this run": _name(longest)})
    return table[[METRICS[name].heading for name in QUALITY]]


def small_text() -> str:
    """Text above the table of ilrm-small."""
    run = read_weights(SMALL)
    data = run.config.data
    return (
        f"**`{SMALL}`**, which comes with the package, was trained on procedural scenes only. PSNR in dB at "
        f"{data.image_height}x{data.image_width},\nmean [95% interval]; the other metrics are in "
        f"[its card](ilrm/weights/{SMALL}/README.md). Captures are photos of one place:\nnear inputs are "
        "neighbours whose images overlap, spread ones cover the whole capture."
    )


def small_table(evaluations: list[RunFolder]) -> str:
    """PSNR by scenes, method and number of input views."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for result in evaluations:
        scenes = f"{result.metrics['scenes']} {scene_kind(result)}"
        for method in SHOWN:
            if method in result.metrics["summary"]:
                name = SMALL if method == "model" else METHODS[method]
                column = f"{result.about['views']} views"
                rows.setdefault((scenes, name), {})[column] = _psnr(result, method)
    table = pd.DataFrame(
        [{"scenes": scenes, "method": name, **values} for (scenes, name), values in rows.items()]
    )
    columns = sorted(table.columns[2:], key=lambda name: int(name.split()[0]))
    return markdown(table[["scenes", "method", *columns]].fillna("-"), index=False)


def plane_text(
    base: RunFolder, clips: RunFolder | None, measurements: Measurements | None = None
) -> str:
    """Compare plane warp and sweep with the base model, over all its seeds, and with ilrm-small on clips."""
    reached = _against_planes(base, "the base model")
    study = studies()["components"]
    above = measurements and measurements.above_baseline(study, study.reference, PLANE)
    if above:
        resolved = above.low > 0 or above.high < 0
        seeds = f"{above.seeds} seed{'s' * (above.seeds > 1)}"
        reached += f";\nover {seeds} the model leads the plane warp by {above.text(2)} dB"
        reached += "" if resolved else ", which does not resolve who is ahead"
    lines = [PLANE_TEXT, f"On the default rooms they reach {reached}."]
    if clips is not None:
        reached = _against_planes(clips, f"`{SMALL}`")
        lines.append(f"On the RealEstate10K clips with {CLIPS_VIEWS} views they reach {reached}.")
    return "\n".join(lines)


def attention_text(measurements: Measurements) -> str:
    """Compare the pixel-aligned design that iLRM replaces with iLRM; empty if it is not recorded."""
    effect = advantage(measurements)
    if effect is None:
        return ""
    return (
        "**Full attention** over all image tokens, with one Gaussian per pixel, is the costlier design of\n"
        f"Figure 2 (a) that iLRM replaces: {effect.text(2)} dB against iLRM at the tiny scale."
    )


def clips_evaluation(evaluations: list[RunFolder]) -> RunFolder | None:
    """The evaluation on the real clips with CLIPS_VIEWS views, or None if it is not recorded."""
    kind = ("re10k", CLIPS_VIEWS)
    return next((r for r in evaluations if (r.about["data"], r.about["views"]) == kind), None)


def _against_planes(folder: RunFolder, name: str) -> str:
    summary = folder.metrics["summary"]
    plane, sweep, model = (summary[method]["psnr"]["mean"] for method in (PLANE, SWEEP, "model"))
    return f"{plane:.1f} and {sweep:.1f} dB, {name} {model:.1f} dB"


def _longest(runs: dict[str, Run]) -> Run:
    return max(runs.values(), key=lambda run: run.config.train.steps)


def _name(run: Run) -> str:
    steps = run.config.train.steps
    made = " (`make ablation`)" if run.config == run_config("tiny") else ""
    return f"base model, {steps:,} steps{made}"


def _psnr(result: RunFolder, method: str) -> str:
    value: dict[str, Any] = result.metrics["summary"][method]["psnr"]
    return Estimate(**value).text(METRICS["psnr"].digits)
