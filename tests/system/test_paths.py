"""Folders from the environment: absolute, for this process and for those that it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ilrm.system.paths import PROJECT, folder_variable


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("store", "{here}/store"),
        ("/a/b", "/a/b"),
        ("~/store", "{home}/store"),
        ("../c", "{here}/../c"),
    ],
)
def test_a_folder_is_absolute_here_and_in_processes_that_are_started(
    given, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("A_FOLDER", given)
    wanted = expected.format(here=tmp_path, home="/home/me")
    assert folder_variable("A_FOLDER", Path("default")) == Path(wanted)
    assert os.environ["A_FOLDER"] == wanted


@pytest.mark.parametrize("given", [None, ""])
def test_without_a_value_it_is_the_default(given, monkeypatch):
    monkeypatch.delenv("A_FOLDER", raising=False)
    if given is not None:
        monkeypatch.setenv("A_FOLDER", given)
    assert folder_variable("A_FOLDER", Path("default")) == Path("default")


def test_the_run_store_is_that_of_the_folder_where_the_command_was_typed(tmp_path):
    """Also for a process with another working folder, such as the kernel of a notebook."""
    script = """
import os, subprocess, sys
from ilrm.system.paths import RUNS
print(RUNS, flush=True)
code = "from ilrm.system.paths import RUNS; print(RUNS)"
subprocess.run([sys.executable, "-c", code], cwd="/", check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "ILRM_RUNS": "store", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == 2 * [str(tmp_path / "store")]
