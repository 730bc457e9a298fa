"""The runner for real, at the smoke scale: papermill cells in worker processes, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from ablations.runner import Plan, effort
from ablations.study import studies
from ilrm.presets import run_config
from ilrm.system.paths import PROJECT
from tests.ablations.processes import children, wait_for

STUDY = "varies = 'uplift'\nvalues = [1, 2]\n[scales.smoke]\nsteps = 40\n"


@pytest.fixture
def command(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(STUDY)
    shared = [str(path), "--scale", "smoke", "--seeds", "1"]

    def command(verb, *more):
        return [sys.executable, "-m", "ablations", verb, *shared, *more]

    return command


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "ILRM_RUNS": str(tmp_path / "runs")}


@pytest.mark.timeout(400)
def test_a_killed_worker_and_a_killed_runner_lose_nothing(command, environment, tmp_path):
    runs = tmp_path / "runs"
    start = {"cwd": PROJECT, "env": environment, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command("run", "--workers", "1"), **start)
    wait_for(lambda: list(runs.glob("*/history.csv")))  # a cell is in the middle of its training
    (worker,) = children(first.pid, "ablations.worker")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: set(children(first.pid, "ablations.worker")) - {worker})
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    done = subprocess.run(command("run", "--workers", "2"), timeout=300, check=False, **start)
    assert done.returncode == 0, done.stderr
    assert "2/2 cells (all done)" in done.stderr
    for folder in (path.parent for path in runs.glob("*/config.json")):
        notebook = json.loads((folder / "ablation.ipynb").read_text())
        states = {cell["metadata"]["papermill"]["status"] for cell in notebook["cells"]}
        assert states == {"completed"} and (folder / "metrics.json").exists()
        steps = [
            int(line.split(",")[0]) for line in (folder / "history.csv").read_text().split()[1:]
        ]
        assert steps == sorted(set(steps)) and steps[-1] == 40

    before = Counter(path.stat().st_mtime_ns for path in runs.glob("*/ablation.ipynb"))
    again = subprocess.run(command("run"), timeout=100, check=False, **start)
    assert again.returncode == 0
    assert Counter(path.stat().st_mtime_ns for path in runs.glob("*/ablation.ipynb")) == before
    start["stdout"] = subprocess.PIPE
    status = subprocess.run(command("status"), timeout=100, check=False, **start)
    assert status.stdout == "own@smoke: 2 cells: 2 done\n"


def test_mistakes_are_one_line(command, environment):
    for arguments, words in (
        (["run", "layer"], "did you mean 'layers'?"),
        (["run", "none.toml"], "none.toml cannot be read"),
        (
            ["run", "layers", "--storage", "postgresql://me:secret@localhost:1/x"],
            "cannot be opened",
        ),
        (["sweep", "none"], "sweep none is missing"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ablations", *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 2 and words in done.stderr and "secret" not in done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_effort_grows_with_depth_and_is_small_for_an_evaluation():
    base = effort(run_config("tiny"))
    assert effort(run_config("tiny", layers=12)) > 2.5 * base
    assert effort(run_config("tiny", camera_noise=0.1)) < 0.3 * base


def test_runs_that_are_left_out_are_not_planned(tmp_path):
    study = studies()["components"]
    cells = study.cells("smoke", 2)
    plan = Plan.make([study], "smoke", str(tmp_path / "journal"), 2, {cells[0].run_name})
    assert set(plan.cells) == {cell.run_name for cell in cells[1:]}
