"""Tables: what differs is marked, what is missing says why, effects are paired."""

import pandas as pd

from ilrm.presets import run_config
from ilrm.runs.store import Run
from ilrm.vocabulary import METHODS
from reports.tables import run_tables as tables
from reports.write import markdown


def test_configuration_marks_what_differs():
    table = tables.configuration(run_config("tiny", layers=6), run_config("tiny"))
    assert table.loc["layers", "changed"] == "*" and table.loc["width", "changed"] == ""
    assert table.loc["parameters (M)", "changed"] == "*"
    assert "camera_noise" not in table.index


def test_configuration_shows_what_else_differs():
    table = tables.configuration(run_config("tiny", camera_noise=0.1), run_config("tiny"))
    assert table.loc["camera_noise"].tolist() == [0.1, 0.0, "*"]


def test_metrics_carry_intervals_and_baselines(smoke_run):
    table = tables.metrics(smoke_run, {"base": smoke_run})
    assert list(table.index) == ["this run", "base", *list(METHODS.values())[1:]]
    psnr = smoke_run.metrics["summary"]["model"]["psnr"]
    assert table.loc["this run", "PSNR (dB)"] == (
        f"{psnr['mean']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}]"
    )


def test_missing_lpips_says_why(smoke_run):
    run = Run(smoke_run.folder)
    metrics = {**smoke_run.metrics, "lpips_missing": "no weights here"}
    metrics["summary"] = {
        method: {name: value for name, value in values.items() if name != "lpips"}
        for method, values in metrics["summary"].items()
    }
    run.__dict__["metrics"] = metrics
    assert tables.metrics(run, {}).loc["this run", "LPIPS"] == "not measured: no weights here"


def test_effect_is_paired_over_scenes(smoke_run):
    variant, base = Run(smoke_run.folder), Run(smoke_run.folder)
    variant.__dict__["config"] = run_config("smoke", uplift=1)
    shifted = smoke_run.per_view.copy()
    shifted.loc[shifted.method == "model", "psnr"] += 0.5
    variant.__dict__["per_view"] = shifted
    table = tables.against_paper(variant, base)
    assert table.loc["PSNR (dB)", "here, smoke scale"] == "+0.50 [no interval]"  # of two scenes
    assert table.loc["PSNR (dB)", "paper, effect"] == "-0.34"


def test_nothing_to_compare_says_why(smoke_run):
    other = Run(smoke_run.folder)
    other.__dict__["config"] = run_config("smoke", layers=2)
    shorter = Run(smoke_run.folder)
    shorter.__dict__["config"] = run_config("smoke", layers=2, steps=3)
    for run, base, reason in (
        (shorter, smoke_run, "trained differently from the base model: steps differ"),
        (smoke_run, None, "no base run is recorded for the smoke scale"),
        (smoke_run, smoke_run, "the base model itself: change a parameter to compare a variant"),
        (other, smoke_run, "does not report this variant"),
    ):
        with pd.option_context("display.max_colwidth", None):  # as the notebooks set it
            assert reason in tables.against_paper(run, base)._repr_html_()


def test_markdown_has_a_row_an_entry(smoke_run):
    text = markdown(tables.metrics(smoke_run, {}))
    lines = text.splitlines()
    assert len(lines) == 2 + len(METHODS) and all(
        line.count("|") == lines[0].count("|") for line in lines
    )
