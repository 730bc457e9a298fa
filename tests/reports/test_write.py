"""Written reports: four formats, the same bytes each time, and a check that finds what is stale."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports import __main__ as reports
from reports.effects import Measurements
from reports.figures.study_figures import study_figures
from reports.write import Writer
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
    writer, pictures = Writer(tmp_path), [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    writer.table("t", TABLE, [])
    writer.figure("f", figure(3))
    writer.arrays("a", {"one": np.arange(3)})
    writer.animation("g", pictures, 0.1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    same = Writer(tmp_path, check=True)
    same.table("t", TABLE, [])
    same.figure("f", figure(3))
    same.arrays("a", {"one": np.arange(3)})
    same.animation("g", pictures, 0.1)
    assert not same.stale
    other = Writer(tmp_path, check=True)
    other.table("t", TABLE.assign(c="2"), [])
    other.figure("f", figure(9))
    other.figure("g", figure(3))
    other.arrays("a", {"two": np.arange(3)})
    other.animation("h", pictures, 0.1)
    assert {"t.md", "t.csv", "f.png", "g.png", "a.npz", "h.gif"} <= set(other.stale)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = Writer(tmp_path)
    again.figure("f", figure(3))
    again.arrays("a", {"one": np.arange(3)})
    again.animation("g", pictures, 0.1)
    for name in ("f.png", "f.pdf", "a.npz", "g.gif"):
        assert (tmp_path / name).read_bytes() == before[name]


def test_the_committed_reports_are_made_from_the_committed_records(capsys):
    assert reports.main(["--check", "--no-models"]) == 0, capsys.readouterr().err


def test_what_is_written_no_more_is_stale_and_goes(tmp_path):
    Writer(tmp_path).text("tables/old.md", "old")
    check, write = Writer(tmp_path, check=True), Writer(tmp_path)
    for writer in (check, write):
        writer.text("tables/new.md", "new")
        writer.clean("tables")
    assert check.stale == ["tables/new.md", "tables/old.md (no longer generated)"]
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["new.md"]


def test_one_moved_point_makes_a_figure_stale(tmp_path):
    def points(y):
        shown, axes = plt.subplots(figsize=(7, 5))
        axes.plot([0, 1, 2], [0, y, 4], "o")
        plt.close(shown)
        return shown

    Writer(tmp_path).figure("f", points(1.0))
    for y, stale in ((1.0, []), (1.3, ["f.png"])):
        writer = Writer(tmp_path, check=True)
        writer.figure("f", points(y))
        assert writer.stale == stale


@pytest.mark.parametrize("shifts", [{}, {"w/o token uplifting": -0.3}])
def test_figures_show_what_is_recorded_and_nothing_else(shifts):
    made = study_figures(measurements(shifts))
    assert set(made) == {"effects", "quality_against_macs"}
    nothing = Measurements("tiny", pd.DataFrame(), pd.DataFrame(columns=["run", "scene", "psnr"]))
    assert study_figures(nothing) == {}
