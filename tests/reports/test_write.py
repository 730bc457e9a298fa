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
    with Writer(tmp_path, extra=["html"]) as writer:
        writer.table("t", TABLE, ["a note & more"], caption="A caption. Further words.")
    text = {kind: (tmp_path / f"t.{kind}").read_text() for kind in ("md", "tex", "html", "csv")}
    assert "| 50% & more | <1> |" in text["md"] and "(1) a note" in text["md"]
    assert r"50\% \& more" in text["tex"] and r"a\_b" in text["tex"] and r"\toprule" in text["tex"]
    assert "&lt;1&gt;" in text["html"] and "a note &amp; more" in text["html"]
    assert "$<$1$>$" in text["tex"] and "<h1>A caption</h1>" in text["html"]
    assert text["csv"] == "a_b,c\n50% & more,<1>\n"


PICTURES = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]


def test_check_finds_what_is_stale_and_writes_nothing(tmp_path):
    def write(writer, value=3):
        with writer:
            writer.table("t", TABLE.assign(c=str(value)), [])
            writer.figure("f", figure(value))
            writer.animation("g", PICTURES[: 2 if value == 3 else 1], 0.1)
            if value != 3:
                writer.figure("new", figure(3))
        return writer.stale

    write(Writer(tmp_path))
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
    assert set(before) == {"t.md", "t.csv", "f.png", "g.gif"}

    def unchanged():
        files = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
        return files == before

    assert not write(Writer(tmp_path, check=True)) and unchanged()
    stale = write(Writer(tmp_path, check=True), value=9)
    assert set(stale) == {"t.md", "t.csv", "f.png", "g.gif", "new.png"} and unchanged()
    write(Writer(tmp_path))
    assert unchanged()  # what agrees is not written again


def test_extra_formats_are_written_on_request(tmp_path):
    with Writer(tmp_path, extra=["pdf", "npz"]) as writer:
        writer.figure("f", figure(3))
        writer.arrays("f", {"one": np.arange(3)})
    assert {path.name for path in tmp_path.iterdir()} == {"f.png", "f.pdf", "f.npz"}


def test_an_interrupted_report_leaves_nothing_behind(tmp_path):
    with Writer(tmp_path) as writer:
        writer.text("old.md", "old")
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path) as writer:
        writer.text("old.md", "new")
        writer.text("tables/other.md", "other")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["old.md"]
    assert (tmp_path / "old.md").read_text() == "old\n"


@pytest.mark.parametrize(
    ("old", "new", "agree"),
    [
        ("18.21 [17.30, 19.02] dB", "18.22 [17.30, 19.01] dB", True),
        ("18.21 dB", "18.24 dB", False),
        ("0.123456,7", "0.123501,7", True),
        ("3 seeds, 1.5", "4 seeds, 1.5", False),
        ("a 1.5", "b 1.5", False),
    ],
)
def test_last_digits_agree_only_where_that_is_asked_for(tmp_path, old, new, agree):
    with Writer(tmp_path) as writer:
        writer.text("t.md", old)
    for tolerant in (True, False):
        with Writer(tmp_path, check=True) as writer:
            writer.tolerant = tolerant
            writer.text("t.md", new)
        assert (not writer.stale) == (tolerant and agree)


def test_the_committed_reports_are_made_from_the_committed_records(capsys):
    assert reports.main(["--check", "--no-models"]) == 0, capsys.readouterr().err


def test_what_is_no_longer_written_is_stale_and_goes(tmp_path):
    with Writer(tmp_path) as writer:
        writer.text("tables/old.md", "old")
    check, write = Writer(tmp_path, check=True), Writer(tmp_path)
    for writer in (check, write):
        with writer:
            writer.text("tables/new.md", "new")
            writer.clean("tables")
    assert check.stale == ["tables/new.md", "tables/old.md (no longer written)"]
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["new.md"]


def test_one_moved_point_makes_a_figure_stale(tmp_path):
    def points(y):
        shown, axes = plt.subplots(figsize=(7, 5))
        axes.plot([0, 1, 2], [0, y, 4], "o")
        plt.close(shown)
        return shown

    with Writer(tmp_path) as writer:
        writer.figure("f", points(1.0))
    for y, stale in ((1.0, []), (1.3, ["f.png"])):
        with Writer(tmp_path, check=True) as writer:
            writer.figure("f", points(y))
        assert writer.stale == stale


@pytest.mark.parametrize("shifts", [{}, {"w/o token uplifting": -0.3}])
def test_figures_show_what_is_recorded_and_nothing_else(shifts):
    made = study_figures(measurements(shifts))
    assert set(made) == {"effects", "quality_against_macs"}
    nothing = Measurements("tiny", pd.DataFrame(), pd.DataFrame(columns=["run", "scene", "psnr"]))
    assert study_figures(nothing) == {}
