"""Two hosts, each with a run store of its own, on one study through PostgreSQL; one of them is killed."""

import os
import signal
import subprocess
import sys
from collections import Counter

import optuna
import pytest

from ablations.queue import Queue
from ablations.storage import open_storage
from ablations.study import read_study
from ilrm.system.paths import PROJECT
from tests.ablations.processes import wait_for

STUDY = "varies = 'layers'\nvalues = [1, 2, 3]\n[scales.smoke]\nsteps = 30\n"


@pytest.mark.timeout(600)
def test_one_host_finishes_what_another_leaves_when_it_is_killed(server, tmp_path):
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
        pytest.skip("host names cannot be made here (unshare --uts)")
    path = tmp_path / "own.toml"
    path.write_text(STUDY)
    options = f"--scale smoke --seeds 2 --workers 1 --storage {server.url}"
    run = f"{sys.executable} -m ablations run {path} {options}"

    def host(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", f"hostname {name} && exec {run}"],
            cwd=PROJECT,
            env={**os.environ, "ILRM_RUNS": str(tmp_path / name)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    first = host("first")
    wait_for(lambda: list((tmp_path / "first").glob("*/metrics.json")))
    second = host("second")
    wait_for(lambda: list((tmp_path / "second").glob("*/history.csv")))
    os.killpg(first.pid, signal.SIGKILL)  # the runner and its worker; the kernel sees that and ends
    first.communicate()
    errors = second.communicate(timeout=400)[1]
    assert second.returncode == 0, errors

    queue = Queue.open(read_study(path), "smoke", open_storage(server.url))
    study = queue.trials
    done = [t for t in study.trials if t.state is optuna.trial.TrialState.COMPLETE]
    runs = Counter(trial.user_attrs["run"] for trial in done)
    assert len(runs) == 6 and set(runs.values()) == {1}, "every cell is done, once"
    hosts = Counter(trial.user_attrs["host"] for trial in done)
    assert set(hosts) == {"first", "second"}
    for trial in done:
        folder = tmp_path / trial.user_attrs["host"] / trial.user_attrs["run"]
        assert (folder / "metrics.json").exists()
    left = [t for t in study.trials if t.state is not optuna.trial.TrialState.COMPLETE]
    assert len(left) == 1 and left[0].user_attrs["host"] == "first", (
        "what the killed host had in work"
    )
