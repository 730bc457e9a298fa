"""The runner for real, at the smoke scale: papermill cells in worker processes, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from ablations import runner
from ablations.queue import DONE, NEW, RUNNING, WAITING
from ablations.runner import Plan, effort
from ablations.storage import open_storage
from ablations.study import StudyError, studies
from ilrm.presets import run_config
from ilrm.system.paths import PROJECT
from tests.ablations.processes import children, wait_for

STUDY = "varies = 'uplift'\nvalues = [1, 2]\n[scales.smoke]\nsteps = 40\n"


@pytest.fixture
def command(tmp_path):
    """Commands as they are typed in another folder than the checkout: all paths are relative."""
    (tmp_path / "own.toml").write_text(STUDY)
    shared = ["own.toml", "--scale", "smoke", "--seeds", "1", "--storage", "queue.journal"]

    def command(verb, *more):
        return [sys.executable, "-m", "ablations", verb, *shared, *more]

    return command


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "ILRM_RUNS": "runs", "PYTHONPATH": str(PROJECT)}


@pytest.mark.timeout(400)
def test_a_killed_worker_and_a_killed_runner_lose_nothing(command, environment, tmp_path):
    runs = tmp_path / "runs"
    start = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
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
    assert "2 waiting, 2 workers are starting" in done.stderr
    assert "encryption" not in (runs / "workers.log").read_text()
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
    assert not (PROJECT / "queue.journal").exists() and (tmp_path / "queue.journal").exists()


def test_the_bar_says_what_workers_do_and_no_time_before_it_means_something(capsys):
    """Nothing is known to be done while workers start."""
    plan = SimpleNamespace(done=lambda: 0.0, efforts={"a": 3600.0})
    with runner._bar(plan) as bar:
        for counts, words in (
            ({WAITING: 3}, "0/3 cells (3 waiting, 2 workers are starting)"),
            ({RUNNING: 1, WAITING: 2}, "0/3 cells (1 running, 2 waiting, 1 worker is starting)"),
            ({RUNNING: 2, DONE: 1}, "1/3 cells (2 running)"),
        ):
            runner._show(bar, plan, Counter(counts), 2)
            shown = capsys.readouterr().err
            assert words in shown and "? left" in shown


def test_mistakes_are_one_line(command, environment, tmp_path):
    for arguments, words in (
        (["run", "layers", "--seeds", "21"], "21 seeds are more than are recorded"),
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
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 2 and words in done.stderr and "secret" not in done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_status_on_a_new_machine_reads_only(environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ablations", "status", "layers", "components"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("layers@tiny: ") and done.stdout.count("not enqueued\n") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("where", ["sqlite:///{}/q.db", "mysql://me:secret@host/q", "file://{}/q"])
def test_databases_of_other_kinds_are_refused_before_anything_is_written(where, create, tmp_path):
    """SQLite makes its file as soon as it is asked, and kills workers that start at once."""
    with pytest.raises(StudyError, match="is not supported: give a journal file, or postgres") as e:
        open_storage(where.format(tmp_path), create)
    assert not list(tmp_path.iterdir()) and "secret" not in str(e.value)


def test_effort_grows_with_depth_and_is_small_for_an_evaluation():
    base = effort(run_config("tiny"))
    assert effort(run_config("tiny", layers=12)) > 2.5 * base
    assert effort(run_config("tiny", camera_noise=0.1)) < 0.3 * base


def test_status_of_a_journal_leaves_it_as_it_is(tmp_path):
    journal = tmp_path / "journal"
    study, other = studies()["components"], studies()["layers"]
    plan = Plan.make([study], "smoke", str(journal), 1)
    plan.queues[0][0].add(plan.cells.values())
    before = journal.read_bytes()
    seen = Plan.make([study, other], "smoke", str(journal), 1, create=False)
    assert seen.counts() == {WAITING: len(plan.cells), NEW: len(seen.cells) - len(plan.cells)}
    assert journal.read_bytes() == before


def test_the_cells_that_another_runner_dropped_are_enqueued_again(tmp_path, monkeypatch):
    """Another runner of the same study, with fewer seeds, replaced the plan: the run does not end early."""
    study = studies()["components"]
    plan = Plan.make([study], "smoke", str(tmp_path / "journal"), 1)
    queue, cells = plan.queues[0]
    done: set[str] = set()

    class Workers:
        def __init__(self, *_):
            self.polls, self.alive = 0, []

        def keep_going(self, waiting):
            self.polls += 1
            for _ in range(waiting):
                trial = queue.trials.ask()
                if self.polls == 1:
                    queue.trials.tell(trial, state=TrialState.PRUNED)
                else:
                    done.add(trial.user_attrs["run"])
                    queue.trials.tell(trial, 1.0)

        def stop(self):
            pass

    monkeypatch.setattr("ablations.queue.find_run", lambda config: config.name in done or None)
    monkeypatch.setattr(runner, "share_done", lambda config: float(config.name in done))
    monkeypatch.setattr(runner, "dataset_root", lambda data: None)
    monkeypatch.setattr(runner, "Workers", Workers)
    monkeypatch.setattr(runner, "POLL", 0.0)
    assert runner.run(plan, 1) == {} and done == {cell.run_name for cell in cells}


def test_runs_that_are_left_out_are_not_planned(tmp_path):
    study = studies()["components"]
    cells = study.cells("smoke", 2)
    plan = Plan.make([study], "smoke", str(tmp_path / "journal"), 2, {cells[0].run_name})
    assert set(plan.cells) == {cell.run_name for cell in cells[1:]}
