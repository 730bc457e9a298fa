"""Tables of a run: configuration in the paper's terms, metrics, and effect next to the paper's."""

import dataclasses

import pandas as pd

from ilrm import cost
from ilrm.config import ModelConfig, RunConfig
from ilrm.evaluation.summary import Estimate, estimate, scene_means
from ilrm.runs.store import Run
from ilrm.vocabulary import METHODS, METRICS, QUALITY
from reports.published import paper_rows

LATER = ("depth_abs_rel", "depth_rmse")  # omitted if none of the runs has measured them


def configuration(config: RunConfig, base: RunConfig) -> pd.DataFrame:
    """Every field of the model and the cost, next to those of the base model, with changes marked.

    Fields of data, training and evaluation are only shown if they differ.
    """
    rows = [
        (f.name, getattr(config.model, f.name), getattr(base.model, f.name))
        for f in dataclasses.fields(ModelConfig)
    ]
    ours, theirs = config.to_dict(), base.to_dict()
    for part in ("data", "train", "evaluation"):
        rows += [(k, v, theirs[part][k]) for k, v in ours[part].items() if v != theirs[part][k]]
    for name, values in _costs(config).items():
        rows.append((name, values, _costs(base)[name]))
    table = pd.DataFrame(rows, columns=["", "this run", "base"]).set_index("")
    table["changed"] = [
        "*" if a != b else "" for a, b in zip(table["this run"], table["base"], strict=True)
    ]
    return table


def _costs(config: RunConfig) -> dict[str, str]:
    d = config.evaluation_data
    size = (d.context_views, d.image_height, d.image_width)
    macs = sum(cost.analytic_macs(config.model, *size).values())
    return {
        "inputs": f"{d.context_views} views of {d.image_height}x{d.image_width}",
        "parameters (M)": f"{cost.parameters(config.model) / 1e6:.3f}",
        "GMACs per scene": f"{macs / 1e9:.3f}",
        "Gaussians per scene": f"{cost.gaussians(config.model, *size):,}",
    }


def metrics(run: Run, others: dict[str, Run]) -> pd.DataFrame:
    """PSNR, SSIM, LPIPS and depth metrics of a run, `others` and the baselines: mean and 95% interval over
    held-out scenes.

    `others`: further complete runs, by name. Metrics that could not be measured are replaced by the reason.
    """
    rows: dict[str, dict[str, str]] = {"this run": _estimates(run, "model")}
    for name, other in others.items():
        rows[name] = _estimates(other, "model")
    for method, label in METHODS.items():
        if method != "model" and method in run.metrics["summary"]:
            rows[label] = _estimates(run, method)
    table = pd.DataFrame.from_dict(rows, orient="index")
    unmeasured = [
        METRICS[name].heading for name in LATER if (table[METRICS[name].heading] == "-").all()
    ]
    return table.drop(columns=unmeasured)


def held_out(summary: dict[str, dict[str, dict[str, float]]]) -> pd.DataFrame:
    """Metrics on one scene's held-out frames (`summarize`) of model and baselines: means over the frames."""
    rows = {
        name: {
            METRICS[metric].heading: f"{value['mean']:.{METRICS[metric].digits}f}"
            for metric, value in summary[method].items()
        }
        for method, name in {**METHODS, "model": "iLRM"}.items()
        if method in summary
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _estimates(run: Run, method: str) -> dict[str, str]:
    values = run.metrics["summary"][method]
    row = {}
    for name, metric in METRICS.items():
        if name in values:
            row[metric.heading] = Estimate(**values[name]).text(metric.digits)
        elif name == "lpips":
            row[metric.heading] = f"not measured: {run.metrics['lpips_missing']}"
        else:
            row[metric.heading] = "-"
    pooled = run.metrics["depth_spearman_pooled"] if method == "model" else None
    row["depth rank corr., pooled"] = "-" if pooled is None else f"{pooled:.2f}"
    return row


def against_paper(run: Run, base: Run | None) -> pd.DataFrame:
    """The effect of a variant (variant minus base), measured on the same held-out scenes and as in the paper.

    One row per metric. The interval is over scenes with one seed each, not over seeds. If there is nothing to
    compare, the table states the reason.
    """
    if base is None:
        return _note(f"no base run is recorded for the {run.config.scale} scale")
    if run.config == base.config:
        return _note("this is the base model itself: change a parameter to compare a variant")
    if different := _different_training(run.config, base.config):
        return _note(f"trained differently from the base model: {', '.join(different)} differ")
    rows = paper_rows(run.config.model, base.config.model)
    if rows is None:
        return _note("the paper does not report this variant")
    variant_row, base_row = rows
    table = {}
    for metric in QUALITY:
        if metric not in run.per_view or metric not in base.per_view:
            continue
        ours = scene_means(run.per_view, "model", metric)
        difference = estimate((ours - scene_means(base.per_view, "model", metric)).to_numpy())
        variant, reference = variant_row.value(metric), base_row.value(metric)
        digits = METRICS[metric].digits
        table[METRICS[metric].heading] = {
            f"here, {run.config.scale} scale": difference.text(digits, signed=True),
            "paper, effect": "-"
            if variant is None or reference is None
            else f"{variant - reference:+.{digits}f}",
            f"paper, {variant_row}": variant,
            f"paper, {base_row}": reference,
        }
    return pd.DataFrame.from_dict(table, orient="index")


def _different_training(config: RunConfig, base: RunConfig) -> list[str]:
    """Fields of data and training, except the seed, in which two runs differ."""
    ours, theirs = config.to_dict(), base.to_dict()
    return [
        name
        for part in ("data", "train")
        for name, value in ours[part].items()
        if name != "seed" and value != theirs[part][name]
    ]


def _note(text: str) -> pd.DataFrame:
    return pd.DataFrame({"": [text]}, index=["nothing to compare"])
