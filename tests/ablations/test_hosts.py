"""Two hosts, each with a run store of its own, on one study through PostgreSQL; one of them is killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from ablations.storage import open_storage
from ilrm.system.paths import PROJECT
from tests.ablations.processes import wait_for

STUDY = "varies = 'layers'\nvalues = [1, 2, 3]\n[scales.smoke]\nsteps = 30\n"


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture
def database():
    """The URL of an empty database of its own server. Its folder is made by the user that runs it."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    as_server = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def call(*command: str) -> str:
        done = subprocess.run(
            [*as_server, *command], cwd="/", check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    folder = Path(call("mktemp", "-d"))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    call(str(programs / "initdb"), "-D", str(folder / "data"), "-U", "ilrm", "-A", "trust")
    options = f"-p {port} -k {folder} -c listen_addresses=localhost"
    call(*control, "-o", options, "-l", str(folder / "log"), "start")
    try:
        yield f"postgresql://ilrm@localhost:{port}/postgres"
    finally:
        call(*control, "-m", "immediate", "stop")
        call("rm", "-r", str(folder))


@pytest.mark.timeout(600)
def test_one_host_finishes_what_another_leaves_when_it_is_killed(database, tmp_path):
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
        pytest.skip("host names cannot be made here (unshare --uts)")
    path = tmp_path / "own.toml"
    path.write_text(STUDY)
    run = f"{sys.executable} -m ablations run {path} --scale smoke --seeds 2 --workers 1 --storage {database}"

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

    study = optuna.load_study(study_name="own@smoke", storage=open_storage(database))
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
