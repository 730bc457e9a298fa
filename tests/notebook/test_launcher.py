"""The user's own papermill line: on a terminal, through pipes, with and without an output path."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ilrm.errors import ConfigError
from ilrm.notebook import launcher
from ilrm.presets import run_config
from ilrm.system.paths import PROJECT, RUNS

PAPERMILL = Path(sys.executable).with_name("papermill")
NOTEBOOK = "notebooks/ablation.ipynb"


def environment(tmp_path):
    return {**os.environ, "ILRM_RUNS": str(tmp_path)}


def executed_metrics(tmp_path, **fields):
    folder = tmp_path / run_config("smoke", **fields).name
    notebook = json.loads((folder / "ablation.ipynb").read_text())
    assert all(cell["metadata"]["papermill"]["status"] == "completed" for cell in notebook["cells"])
    assert json.loads((folder / "config.json").read_text())["model"].items() >= fields.items()
    return json.loads((folder / "metrics.json").read_text())


def test_the_line_works_on_a_terminal(tmp_path):
    command = [str(PAPERMILL), NOTEBOOK, "-p", "scale", "smoke", "-p", "layers", "2"]
    parent, child = pty.openpty()
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


def test_the_line_works_with_pipes_on_both_ends_and_shows_a_complete_run_again(tmp_path):
    command = [str(PAPERMILL), NOTEBOOK, "-p", "scale", "smoke"]
    folder = tmp_path / run_config("smoke").name
    written = []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=PROJECT, env=environment(tmp_path), input=b"", capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert executed_metrics(tmp_path)["scenes"] == 2
        written.append((folder / "metrics.json").stat().st_mtime_ns)
    assert written[0] == written[1]


def test_wrong_parameters_stop_before_any_work(tmp_path):
    for arguments, message in (
        (["-p", "layer", "6"], "did you mean 'layers'"),
        (["-p", "layers", "six"], "layers='six'"),
        (["-p", "scale", "tinny"], "did you mean 'tiny'"),
        (["-p", "minibatch", "3"], "one of 1, 2, 4"),
        (["-p", "layers", ""], "layers=''"),
        (["-f", "missing.yaml"], "missing.yaml"),
        (["-y", "{layers: 6"], "flow mapping"),
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
