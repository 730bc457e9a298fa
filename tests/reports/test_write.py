"""Written reports: four formats, the same bytes each time, and a check that finds what is stale."""

import io
import os
import re
import signal
import subprocess
import sys
from fnmatch import fnmatch

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ilrm.system.paths import PROJECT
from reports import __main__ as reports
from reports.effects import Measurements
from reports.figures import style
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


def cells(line):
    """Cells of a row of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


HOSTILE = [
    "a|b",
    "50%_x",
    "<b>",
    "{x}^~\\ $y$ #&",
    "two\nlines",
    "*x* _y_",
    "&lt;",
    "[a](b)",
    "|",
    "\\|",
]


def test_names_of_users_are_escaped_in_every_format(tmp_path):
    table = pd.DataFrame({"variant": HOSTILE, "a|b_c": range(len(HOSTILE))})
    with Writer(tmp_path, extra=["html"]) as writer:
        writer.table("t", table, [HOSTILE[3]], caption="Names of users")
    text = {kind: (tmp_path / f"t.{kind}").read_text() for kind in ("md", "tex", "html", "csv")}
    rows = text["md"].splitlines()
    assert all(len(cells(row)) == 2 for row in rows[: len(HOSTILE) + 2])
    assert "<b>" not in text["md"] and "&lt;b>" in text["md"] and "\n" not in cells(rows[6])[0]
    assert r"\$y\$" in text["md"] and r"\*x\* \_y\_" in text["md"] and "&amp;lt;" in text["md"]
    for bare in ("a|b", "50%", "_x", "<b>", "{x}", "^~", "$y$", " #", "#&"):
        assert not re.search(rf"(?<!\\){re.escape(bare)}", text["tex"]), bare
    for kept in (
        r"a\textbar{}b",
        r"$<$b$>$",
        r"\{x\}\textasciicircum{}\textasciitilde{}\textbackslash{} \$y\$ \#\&",
        "two lines",
    ):
        assert kept in text["tex"], kept
    assert "&lt;b&gt;" in text["html"] and "<b>" not in text["html"]
    assert list(pd.read_csv(io.StringIO(text["csv"])).variant) == HOSTILE


def test_html_holds_whole_sentences(tmp_path):
    with Writer(tmp_path, extra=["html"]) as writer:
        writer.table("t", pd.DataFrame({"claim": ["word " * 50 + "end"]}), [])
    assert "word end" in (tmp_path / "t.html").read_text()


def test_labels_are_shown_as_they_are():
    """matplotlib refuses what it cannot read as mathematics."""
    shown = figure(3)
    for label in (r"$\no$ 50%_x", "a $b$", "$"):
        shown.axes[0].set_title(style.plain(label))
        shown.canvas.draw()


RC = """
backend: qtagg
figure.figsize: 20, 3
figure.dpi: 30
savefig.dpi: 40
savefig.facecolor: black
savefig.transparent: True
font.size: 30
font.family: monospace
axes.facecolor: red
axes.prop_cycle: cycler('color', ['g', 'c'])
lines.linewidth: 9
lines.markersize: 20
axes.grid: False
grid.linestyle: :
xtick.direction: in
text.usetex: True
legend.fontsize: 30
axes.titlesize: 40
axes.formatter.useoffset: False
image.cmap: gray
path.simplify_threshold: 0.9
"""
DRAW = """
import sys
from fnmatch import fnmatch
from pathlib import Path
from ilrm.system.process import begin
begin()
from reports import __main__ as reports
from reports import regenerate
from reports.write import Writer
def drawn(check, models, extra, out):
    with Writer(Path(sys.argv[1])) as writer:
        writer.figure("views", regenerate.cost_against_views())
        writer.figure("resolution", regenerate.cost_against_resolution())
    return []
regenerate.regenerate = drawn
sys.exit(reports.main([]))
"""


def test_figures_do_not_depend_on_the_users_matplotlibrc(tmp_path):
    (tmp_path / "matplotlibrc").write_text(RC)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    pictures = []
    for folder, extra in (
        ("plain", {"MPLBACKEND": "agg"}),
        ("odd", {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": "no_backend"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", DRAW, str(tmp_path / folder)],
            env={**plain, **extra},
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        pictures.append({p.name: p.read_bytes() for p in sorted((tmp_path / folder).iterdir())})
    assert len(pictures[0]) == 2 and pictures[0] == pictures[1]


STOPPED = """
import sys, time
from pathlib import Path
from ilrm.system.stopping import stopping_at_once
from reports.write import Writer
with stopping_at_once(), Writer(Path(sys.argv[1])) as writer:
    writer.text("new.md", "new")
    print("staged", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_report_that_is_stopped_leaves_nothing_over(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline() == b"staged\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(number)
    process.communicate()
    if (
        number == signal.SIGKILL
    ):  # nothing runs after it: git ignores the folder, the next report removes it
        (left,) = tmp_path.iterdir()
        ignored = (PROJECT / ".gitignore").read_text().splitlines()
        assert any(fnmatch(left.name, pattern) for pattern in ignored)
        with Writer(tmp_path) as writer:
            assert not left.exists()
        assert not writer.stale
    assert not list(tmp_path.iterdir())


PICTURES = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]


def test_check_finds_what_is_stale_and_writes_nothing(tmp_path):
    def write(writer, value=3):
        with writer:
            writer.table("t", TABLE.assign(c=str(value)), [])
            writer.figure("f", figure(value))
            writer.animation("g", PICTURES[: 2 if value == 3 else 1], 0.1)
            writer.picture("p", PICTURES[0 if value == 3 else 1])
            if value != 3:
                writer.figure("new", figure(3))
        return writer.stale

    write(Writer(tmp_path))
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
    assert set(before) == {"t.md", "t.csv", "f.png", "g.gif", "p.png"}

    def unchanged():
        files = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
        return files == before

    assert not write(Writer(tmp_path, check=True)) and unchanged()
    stale = write(Writer(tmp_path, check=True), value=9)
    assert set(stale) == {*before, "new.png"} and unchanged()
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
