"""Written reports: four formats, the same bytes each time, and a check that finds what is stale."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from reports import __main__ as reports
from reports.effects import Measurements
from reports.study_figures import study_figures
from reports.write import OUTPUT, Writer
from tests.reports.test_effects import measurements

TABLE = pd.DataFrame({"a_b": ["50% & more"], "c": ["<1>"]})


def figure(value):
    shown, axes = plt.subplots(figsize=(2, 2))
    axes.bar([0], [value])
    axes.set_ylim(0, 10)
    plt.close(shown)
    return shown


def test_a_table_has_four_formats_that_escape(tmp_path):
    Writer(tmp_path).table("t", TABLE, ["a note & more"])
    text = {kind: (tmp_path / f"t.{kind}").read_text() for kind in ("md", "tex", "html", "csv")}
    assert "| 50% & more | <1> |" in text["md"] and "(1) a note" in text["md"]
    assert r"50\% \& more" in text["tex"] and r"a\_b" in text["tex"] and r"\toprule" in text["tex"]
    assert "&lt;1&gt;" in text["html"] and "a note &amp; more" in text["html"]
    assert text["csv"] == "a_b,c\n50% & more,<1>\n"


def test_check_finds_what_is_stale_and_writes_nothing(tmp_path):
    writer = Writer(tmp_path)
    writer.table("t", TABLE, [])
    writer.figure("f", figure(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    same = Writer(tmp_path, check=True)
    same.table("t", TABLE, [])
    same.figure("f", figure(3))
    assert not same.stale
    other = Writer(tmp_path, check=True)
    other.table("t", TABLE.assign(c="2"), [])
    other.figure("f", figure(9))
    other.figure("g", figure(3))
    assert {"t.md", "t.csv", "f.png", "g.png"} <= set(other.stale)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    Writer(tmp_path).figure("f", figure(3))
    assert (tmp_path / "f.png").read_bytes() == before["f.png"]


def test_the_committed_reports_are_made_from_the_committed_records(capsys):
    assert reports.main(["--check", "--no-base"]) == 0, capsys.readouterr().err


def test_nothing_that_is_not_written_any_more_lies_around():
    writer = Writer(check=True)
    found = Measurements.recorded("tiny")
    reports.paper(writer, found)
    reports.claims(writer, found)
    figures = {f"figures/{name}.png" for name in study_figures(found)}
    base = {"base_learning_curve.png", "base_renders.png", "base_metrics.md"}
    files = {str(path.relative_to(OUTPUT)) for path in OUTPUT.rglob("*") if path.is_file()}
    assert files - writer.names == figures | base


@pytest.mark.parametrize("shifts", [{}, {"w/o token uplifting": -0.3}])
def test_figures_show_what_is_recorded_and_nothing_else(shifts):
    made = study_figures(measurements(shifts))
    assert set(made) == {"effects", "quality_against_macs", "quality_against_layers"}
    nothing = Measurements("tiny", pd.DataFrame(), pd.DataFrame(columns=["run", "scene", "psnr"]))
    assert study_figures(nothing) == {}
