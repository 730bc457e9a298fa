"""Studies whose runner, workers, host, network or database fail: every cell is done, once."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from ablations.queue import Queue
from ablations.storage import open_storage
from ablations.study import Study, read_study
from tests.ablations.conftest import Server, postgres_programs
from tests.ablations.processes import children
from tests.ablations.processes import wait_for as wait_within
from tests.drills.processes import command, finished, kill, leftovers
from tests.drills.training import same

STUDY = "varies = 'layers'\nvalues = [1, 2, 3]\n[scales.smoke]\nsteps = 30\n"
CLOCK = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"  # Debian's package faketime
# libfaketime makes the call behind time.sleep fail where the monotonic clock is left alone
SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds)[0]"
PATIENCE = 900  # seconds, on a machine with other work
MINUTES_OFF, CUT = 10, 60  # minutes of a wrong clock, seconds without a network


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition returns once it is true."""
    return wait_within(condition, PATIENCE)


def kills(tries: int, seed: int = 0) -> dict[str, object]:
    """kill -9 of a study's runner with its workers, and of single workers, at random moments."""
    rng, killed = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as name:
        path, store = Path(name) / "own.toml", Path(name) / "killed"
        path.write_text(STUDY, encoding="utf-8")
        line = ("ablations", "run", path, "--scale", "smoke", "--seeds", 4, "--workers", 2)
        status, output = finished(*line, ILRM_RUNS=str(Path(name) / "reference"))
        assert status == 0, output
        while killed < tries:
            process = command(*line, ILRM_RUNS=str(store))
            workers = wait_for(lambda process=process: children(process.pid, "ablations.worker"))
            time.sleep(rng.uniform(3, 12))
            if process.poll() is not None:
                break  # the study is complete
            if killed % 2:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                time.sleep(rng.uniform(1, 4))
            kill(process)
            killed += 1
        status, output = finished(*line, ILRM_RUNS=str(store))
        study = read_study(path)
        once, cells = _done_once(study, str(store / "ablations.journal"), seeds=4)
        runs = [cell.run_name for cell in study.cells("smoke", 4)]
        equal = sum(same(store / run, Path(name) / "reference" / run) for run in runs)
        left = len(leftovers(store))
    return {"drill": "kill -9 of a study's runner and workers", "tries": killed,
            "outcome": f"{once} of {cells} cells done once, {equal} equal to the bit, {left} leftovers",
            "passed": status == 0 and once == cells == equal and not left}  # fmt: skip


def clocks() -> dict[str, object]:
    """Two hosts whose clocks are ten minutes apart."""
    if not Path(CLOCK).exists():
        return _not_run("hosts with clocks ten minutes apart", "faketime is not installed")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "sitecustomize.py").write_text(SLEEP, encoding="utf-8")
        ahead = {
            "LD_PRELOAD": CLOCK,
            "FAKETIME": f"+{MINUTES_OFF}m",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join([name, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        return _on_two_hosts("hosts with clocks ten minutes apart", lambda _: None, ahead)


def network() -> dict[str, object]:
    """The network of one of two hosts is cut for a minute in the middle of a cell."""

    def cut(hosts: "Hosts") -> None:
        wait_for(lambda: list((hosts.folder / "second").glob("*/history.csv")))
        hosts.proxy.send_signal(signal.SIGSTOP)
        time.sleep(CUT)
        hosts.proxy.send_signal(signal.SIGCONT)

    return _on_two_hosts("a network cut for a minute", cut, {})


def database() -> dict[str, object]:
    """The database of two hosts crashes and is started again, twice."""

    def restart(hosts: "Hosts") -> None:
        for cells in (1, 3):
            wait_for(lambda cells=cells: len(list(hosts.folder.glob("*/*/metrics.json"))) >= cells)
            hosts.server.stop("immediate")
            time.sleep(5)
            hosts.server.start()

    return _on_two_hosts("a database that crashes twice", restart, {})


class Hosts:
    """Two hosts on one study, the second one through a network that can be cut."""

    def __init__(self, folder: Path, server: Server, proxy: subprocess.Popen[str], port: str):
        self.folder, self.server, self.proxy = folder, server, proxy
        self.through = server.url.replace(f":{server.port}/", f":{port}/")
        self.study = folder / "own.toml"
        self.study.write_text(STUDY, encoding="utf-8")

    def start(self, name: str, storage: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        """A runner on a host of this name, with a run store of its own."""
        line = f"{sys.executable} -m ablations run {self.study} --scale smoke --seeds 2 --workers 1"
        return subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", f"hostname {name} && exec env {_assigned(environment)} {line}"],
            env={**os.environ, "ILRM_RUNS": str(self.folder / name), "ILRM_STORAGE": storage},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip


def _assigned(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in environment.items())


@contextmanager
def _hosts() -> Iterator[Hosts]:
    programs = postgres_programs()
    assert programs is not None
    server = Server(programs)
    proxy = subprocess.Popen(
        [sys.executable, "-m", "tests.drills.proxy", str(server.port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert proxy.stdout is not None
        with tempfile.TemporaryDirectory() as name:
            yield Hosts(Path(name), server, proxy, proxy.stdout.readline().strip())
    finally:
        proxy.kill()
        proxy.communicate()
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop("immediate")
        server.remove()


def _on_two_hosts(
    drill: str, disturb: Callable[[Hosts], None], environment: dict[str, str]
) -> dict[str, object]:
    """`environment`: of the second host alone."""
    if os.geteuid() or postgres_programs() is None or shutil.which("unshare") is None:
        return _not_run(drill, "needs root, PostgreSQL and unshare")
    with _hosts() as hosts:
        first = hosts.start("first", hosts.server.url, {})
        second = hosts.start("second", hosts.through, environment)
        disturb(hosts)
        outputs = [process.communicate(timeout=900)[0] for process in (first, second)]
        study = read_study(hosts.study)
        once, cells = _done_once(study, hosts.server.url, seeds=2)
        runs = Counter(folder.parent.name for folder in hosts.folder.glob("*/*/metrics.json"))
        by_host = Counter(path.parts[-3] for path in hosts.folder.glob("*/*/metrics.json"))
    ended = first.returncode == second.returncode == 0 and not any(
        "Traceback" in o for o in outputs
    )
    if not ended:
        print(*outputs, sep="\n")
    shares = " and ".join(f"{by_host[name]}" for name in ("first", "second"))
    return {"drill": drill, "tries": 1,
            "outcome": f"{once} of {cells} cells done once, {shares} on the two hosts",
            "passed": ended and once == cells == len(runs) and set(runs.values()) == {1}}  # fmt: skip


def _done_once(study: Study, storage: str, seeds: int) -> tuple[int, int]:
    """Number of cells that were completed exactly once, and of all cells."""
    cells = study.cells("smoke", seeds)
    trials = Queue.open(study, "smoke", open_storage(storage)).trials.trials
    done = Counter(
        t.user_attrs["run"] for t in trials if t.state is optuna.trial.TrialState.COMPLETE
    )
    return sum(done[cell.run_name] == 1 for cell in cells), len(cells)


def _not_run(drill: str, reason: str) -> dict[str, object]:
    return {"drill": drill, "tries": 0, "outcome": f"not run: {reason}", "passed": True}
