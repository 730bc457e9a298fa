"""The user's own papermill line: on a terminal, through pipes, with and without an output path, by
papermill's own script, and as `ilrm notebook`.
"""

import base64
import json
import os
import pty
import re
import subprocess
import sys
import termios
import tomllib
from pathlib import Path

import pytest

from ilrm.__main__ import main as ilrm
from ilrm.errors import ConfigError
from ilrm.notebook import launcher
from ilrm.notebook.plugin import InstalledNotebooks
from ilrm.presets import run_config
from ilrm.system.paths import PROJECT, RUNS

PAPERMILL = Path(sys.executable).with_name("papermill")
NOTEBOOK = "notebooks/ablation.ipynb"


# papermill's script as pip writes it
SCRIPT = "import sys; sys.argv[0] = '/bin/papermill'; from papermill.__main__ import papermill; papermill()"


def environment(tmp_path):
    return {**os.environ, "ILRM_RUNS": str(tmp_path)}


def executed_metrics(tmp_path, trained=True, **fields):
    folder = tmp_path / run_config("smoke", **fields).name
    notebook = json.loads((folder / "ablation.ipynb").read_text())
    assert all(cell["metadata"]["papermill"]["status"] == "completed" for cell in notebook["cells"])
    assert json.loads((folder / "config.json").read_text())["model"].items() >= fields.items()
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.get("name") == "stderr"], "on red"
    shown = [o["data"]["text/plain"] for o in outputs if o["output_type"] == "display_data"]
    bars = [line for text in shown for line in "".join(text).splitlines() if "train:" in line]
    assert (len(bars) == 1 and "train: 100%" in bars[0]) or not trained
    return json.loads((folder / "metrics.json").read_text())


def test_the_line_works_on_a_terminal(tmp_path):
    command = [str(PAPERMILL), NOTEBOOK, "-p", "scale", "smoke", "-p", "layers", "2"]
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (40, 120))
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment(tmp_path), stdin=child, stdout=child, stderr=child
    )
    os.close(child)
    printed = b""
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:
            break
        if not chunk:
            break
        printed += chunk
    assert process.wait() == 0, printed.decode()
    assert executed_metrics(tmp_path, layers=2)["scenes"] == 2
    assert b"train: 100%" in printed and b"4/4" in printed, "steps are not shown"
    assert b"encryption" not in printed


def test_the_line_works_with_pipes_on_both_ends_and_shows_a_complete_run_again(tmp_path):
    command = [str(PAPERMILL), NOTEBOOK, "-p", "scale", "smoke"]
    folder = tmp_path / run_config("smoke").name
    written = []
    for trained in (True, False):
        done = subprocess.run(
            command, cwd=PROJECT, env=environment(tmp_path), input=b"", capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert executed_metrics(tmp_path, trained)["scenes"] == 2
        assert b"encryption" not in done.stderr and b"of 15 cells" in done.stderr
        written.append((folder / "metrics.json").stat().st_mtime_ns)
    assert written[0] == written[1]


WRONG = (
    (["-p", "layer", "6"], "did you mean 'layers'"),
    (["-p", "layers", "six"], "layers='six'"),
    (["-p", "scale", "tinny"], "did you mean 'tiny'"),
    (["-p", "minibatch", "3"], "one of 1, 2, 4"),
    (["-p", "layers", ""], "layers=''"),
    (["-p", "lr", "nan"], "lr=nan: give a number above 0"),
    (["-p", "lr", "1e400"], "lr=inf: give a number above 0"),
    (["-p", "seed", "-1"], "seed=-1: give an integer from 0"),
    (["-p", "seed", "9" * 24], "seed=9+: give an integer from 0"),
    (["-p", "seed", "9" * 5000], "seed="),
    (["-r", "layers", "nan"], "layers='nan'"),
    (["-f", "missing.yaml"], "-f missing.yaml: No such file"),
    (["-f", "."], "-f "),
    (["-f", "list.yaml"], "-f 'list.yaml' is not a mapping"),
    (["-f", "utf16.yaml"], "-f 'utf16.yaml' cannot be read"),
    (["-f", "bytes.yaml"], "-f 'bytes.yaml' cannot be read"),
    (["-y", "{layers: 6"], "-y '{layers: 6' cannot be read .*flow mapping"),
    (["-y", "layers:6"], "-y 'layers:6' is not a mapping .*: write a name, a colon, a space"),
    (["-y", "[layers, 6]"], "-y '.layers, 6.' is not a mapping"),
    (["-y", "6"], "-y '6' is not a mapping"),
    (["-y", "6: layers"], "-y '6: layers' is not a mapping"),
    (["-y", "{[a]: 3}"], "-y "),
    (["-y", "layers: !!python/name:os.system"], "-y .* cannot be read"),
    (["-y", "[" * 5000], "-y .* cannot be read"),
    (["-y", "layers: {a: 1}"], "layers={'a': 1}"),
    (["-y", "a: \0"], "-y .* cannot be read"),
    (["-b", "!!!"], "-b '!!!' cannot be read"),
    (["-b", "/////w=="], "-b "),
    (["-b", base64.b64encode(b"[1]").decode()], "is not a mapping"),
    (["-b", "\u00e4"], "-b .* cannot be read"),
)


@pytest.mark.parametrize("output", [[], ["out.ipynb"]], ids=["", "with an output path"])
@pytest.mark.parametrize(
    "name", ["ablation", "costs", "attention", "benchmark", "quickstart", "reconstruct", "report"]
)
def test_wrong_parameters_are_one_line(name, output, tmp_path, monkeypatch):
    (tmp_path / "list.yaml").write_text("[layers, 6]")
    (tmp_path / "utf16.yaml").write_bytes(
        "layers: 2".encode("utf-16")
    )  # which papermill cannot read
    (tmp_path / "bytes.yaml").write_bytes(b"layers: \xe4")
    monkeypatch.chdir(tmp_path)
    notebook = str(PROJECT / "notebooks" / f"{name}.ipynb")
    runs = name in ("ablation", "costs")
    for arguments, message in WRONG:
        with pytest.raises(ConfigError) as caught:
            default(notebook, *output, *arguments)
        assert len(" ".join(str(caught.value).split())) < 900
        if runs or arguments[0] in ("-f", "-b") or "-y" in message:
            assert re.search(message, str(caught.value), re.DOTALL), arguments
        else:
            assert re.search("unknown parameter|scale='tinny': give one of", str(caught.value))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("attention", ["-p", "rooms", "-1"], "rooms=-1: give an integer from 1 to 10000"),
        ("attention", ["-p", "rooms", "None"], "rooms=None: give an integer"),
        ("attention", ["-p", "roms", "3"], "did you mean 'rooms'"),
        ("attention", ["-p", "capture", "2024"], "capture=2024: give text"),
        ("attention", ["-r", "views", "4"], "views='4': give an integer"),
        ("benchmark", ["-p", "tabels", "17"], "did you mean 'tables'"),
        ("benchmark", ["-p", "seconds", "inf"], "seconds=inf: give a number above 0, at most 3600"),
        ("benchmark", ["-p", "scale", "tinny"], "scale='tinny': give one of smoke"),
        ("benchmark", ["-p", "record", "1"], "record=1: give true or false"),
        ("reconstruct", ["-p", "choice", "far"], "choice='far': give one of near"),
        ("reconstruct", ["-p", "refine", "1.5"], "refine=1.5: give an integer"),
        (
            "reconstruct",
            ["-p", "refine", "1000000000"],
            "refine=1000000000: give an integer from 0",
        ),
        ("reconstruct", ["-p", "views", "1"], "views=1: give an integer from 2 to 1000"),
        (
            "reconstruct",
            ["-p", "splat", "1e400"],
            "splat=inf: give a number above 0, at most 86400",
        ),
        ("reconstruct", ["-p", "splat", "True"], "splat=True: give a number"),
        ("reconstruct", ["-p", "colmap", "1"], "colmap=1: give text"),
        ("report", ["-p", "scale", "tiny"], "unknown parameter 'scale'"),
        ("costs", ["-p", "patch", "6"], "not a multiple"),
    ],
)
def test_every_notebooks_parameters_are_checked(name, arguments, message):
    notebook = str(PROJECT / "notebooks" / f"{name}.ipynb")
    with pytest.raises(ConfigError, match=message):
        default(notebook, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("benchmark", ["-p", "tables", "17"]),
        ("benchmark", ["-r", "tables", "3 17", "-p", "seconds", "1"]),
        ("costs", ["-p", "patch", "32"]),  # at the paper's scale, the notebook's default
        ("reconstruct", ["-p", "splat", "30", "-p", "around", "None"]),
        ("reconstruct", ["-p", "colmap", "sparse/1", "-p", "views", "None"]),
        ("attention", ["-y", "queries: [5, 18]"]),
        ("ablation", ["-y", "", "-y", "{layers: 6, width: null}"]),
    ],
)
def test_right_parameters_are_accepted(name, arguments):
    assert default(str(PROJECT / "notebooks" / f"{name}.ipynb"), *arguments)


def test_wrong_parameters_stop_before_any_work(tmp_path):
    for arguments, message in (
        (["-p", "layer", "6"], "did you mean 'layers'"),
        (["-y", "layers:6"], "is not a mapping of names to values"),
        (["out.ipynb", "-b", "!!!"], "cannot be read"),
    ):
        done = subprocess.run(
            [str(PAPERMILL), NOTEBOOK, *arguments],
            cwd=PROJECT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_error_in_a_cell_is_one_line(tmp_path):
    """The notebook that was executed so far keeps its traceback."""
    command = [str(PAPERMILL), "notebooks/reconstruct.ipynb", "-p", "capture", "/nowhere/a"]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert re.fullmatch(r"papermill: cell \d+: /nowhere/a does not exist: check the path", last)
    assert "/nowhere/a does not exist" in (tmp_path / "notebooks/reconstruct.ipynb").read_text()


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"cells": 5}', "a folder"])
def test_what_is_no_notebook_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "own.ipynb"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    assert ilrm(["notebook", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "own.ipynb is not a notebook: give the path of one, or one of ablation, attention" in line
    )


def test_each_run_of_a_notebook_without_a_run_folder_keeps_its_file(tmp_path, monkeypatch):
    from papermill import __main__ as cli

    monkeypatch.setattr(launcher, "EXECUTED", tmp_path / "notebooks")
    written = []

    def papermill(args, prog_name):
        parsed = launcher._parse(args)
        written.append(Path(parsed["output_path"]))
        if len(written) != 3:  # the third one stops before it writes
            written[-1].write_text(parsed["notebook_path"])
        sys.exit(0)

    papermill.make_context = cli.papermill.make_context
    monkeypatch.setattr(cli, "papermill", papermill)
    for name in ("costs", "costs", "attention", "attention", "reconstruct", "costs"):
        notebook = str(PROJECT / "notebooks" / f"{name}.ipynb")
        monkeypatch.setattr(sys, "argv", ["papermill", notebook])
        with pytest.raises(SystemExit):
            launcher.main()
    kept = sorted(path.name for path in (tmp_path / "notebooks").iterdir())
    assert kept == [
        "attention.ipynb",
        "costs-2.ipynb",
        "costs-3.ipynb",
        "costs.ipynb",
        "reconstruct.ipynb",
    ]
    assert len(set(written)) == 5


def default(*arguments):
    return launcher.default_output(list(arguments))


def test_output_path_follows_the_run(monkeypatch):
    monkeypatch.chdir(PROJECT)
    expected = RUNS / run_config("tiny", layers=6).name / "ablation.ipynb"
    assert default(NOTEBOOK, "-p", "layers", "6") == expected
    assert default("-p", "layers", "6", NOTEBOOK) == expected
    assert default(NOTEBOOK, "-r", "layers", "6", "--no-progress-bar") == expected
    assert default(NOTEBOOK, "-y", "{layers: 6, width: null}") == expected


def test_everything_else_is_left_as_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(PROJECT)
    foreign = tmp_path / "foreign.ipynb"
    foreign.write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    for arguments in (
        [NOTEBOOK, "out.ipynb", "-p", "layers", "6"],
        [NOTEBOOK, "-"],
        [NOTEBOOK, "--help-notebook"],
        ["--version"],
        ["missing.ipynb"],
        [str(foreign)],
        [],
    ):
        assert default(*arguments) is None, arguments


def test_parameters_that_make_no_run_raise(monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        default(NOTEBOOK, "-p", "layer", "6")


@pytest.fixture
def papermills_own_script(tmp_path):
    """Calls it where this project's entry points are installed, but not its `papermill`."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / "ilrm-0.dist-info"
    metadata.mkdir(parents=True)
    ((name, value),) = project["entry-points"]["papermill.io"].items()
    (metadata / "entry_points.txt").write_text(f"[papermill.io]\n{name} = {value}\n")
    path = os.pathsep.join([str(metadata.parent), str(PROJECT), os.environ.get("PYTHONPATH", "")])

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            cwd=PROJECT,
            env=environment(tmp_path / "runs") | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_papermills_own_script_finds_the_output_path_too(papermills_own_script):
    """As after `pip install -U papermill`, whose script replaces ours."""
    done = papermills_own_script(NOTEBOOK, "-p", "layer", "6")
    assert done.returncode == 2 and "did you mean 'layers'" in done.stderr
    done = papermills_own_script("ilrm://ablation.ipynb", "--help-notebook")
    assert done.returncode == 0 and "layers: " in done.stdout, done.stderr


def test_progress_is_logged_where_papermill_has_no_bar(tmp_path):
    """As in `make ablation`."""
    command = [str(PAPERMILL), NOTEBOOK, "-p", "scale", "smoke", "-p", "seed", "1"]
    done = subprocess.run(
        [*command, "--log-output", "--no-progress-bar"],
        cwd=PROJECT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "encryption" not in done.stderr
    assert "train: 100%" in done.stderr and "4/4" in done.stderr


def test_papermills_own_script_is_left_alone_for_other_notebooks(papermills_own_script, tmp_path):
    other = tmp_path / "other.ipynb"
    other.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done = papermills_own_script(str(other), "--prepare-only", str(tmp_path / "out.ipynb"))
    assert done.returncode != 2 and "papermill: " not in done.stderr


def test_notebooks_are_found_by_name_from_anywhere(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    own = PROJECT / NOTEBOOK
    for name in ("ablation", "ablation.ipynb", "ilrm://ablation.ipynb", str(own)):
        assert launcher.located(name) == own
    assert launcher.located("missing/ablation.ipynb") == Path("missing/ablation.ipynb")
    expected = RUNS / run_config("tiny", layers=6).name / "ablation.ipynb"
    assert default("ilrm://ablation.ipynb", "-p", "layers", "6") == expected
    assert ilrm(["notebook", "ablation", "-p", "layer", "6"]) == 2
    assert "did you mean 'layers'" in capsys.readouterr().err
    assert "ilrm://ablation.ipynb" in InstalledNotebooks.listdir("ilrm://")
    with pytest.raises(OSError, match="give an output path"):
        InstalledNotebooks.write("", "ilrm://ablation.ipynb")
