"""Worker processes on this host, which are started while there is work and replaced when they die."""

import os
import subprocess
import sys

import torch
from tqdm import tqdm

from ablations.study import StudyError
from ilrm.system.paths import PROJECT, RUNS, find_suite

DEATHS = 20  # number of worker deaths after which the runner gives up


class Workers:
    """Up to `count` processes `python -m MODULE ARGUMENTS... PID` that share the cores.

    PID is this process; workers take no further work once it has ended.
    """

    def __init__(self, count: int, module_and_arguments: list[str]):
        self.count, self.deaths, self.started = count, 0, 0
        self.command = [sys.executable, "-m", *module_and_arguments, str(os.getpid())]
        self.alive: list[subprocess.Popen[bytes]] = []
        self.log = RUNS / "workers.log"

    def keep_going(self, waiting: int) -> None:
        """Replace workers that have ended while work is waiting. Raises StudyError if they keep dying."""
        ended = [process for process in self.alive if process.poll() is not None]
        self.alive = [process for process in self.alive if process.poll() is None]
        for process in ended:
            if process.returncode:
                self.deaths += 1
                tqdm.write(
                    f"a worker died (status {process.returncode}): another one takes over its work"
                )
        if self.deaths > DEATHS:
            raise StudyError(f"{self.deaths} workers died: see {self.log}")
        for _ in range(min(self.count - len(self.alive), waiting)):
            self._start()

    def _start(self) -> None:
        threads = max(1, (os.cpu_count() or 1) // self.count)
        # no spinning, which would take CPU time from the other workers
        find_suite()  # the worker is a module of the suite
        waiting = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **waiting}
        devices = torch.cuda.device_count()
        if devices > 1:  # assign GPUs in turn
            environment.setdefault("CUDA_VISIBLE_DEVICES", str(self.started % devices))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.alive.append(
                subprocess.Popen(self.command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
            )
        self.started += 1

    def stop(self) -> None:
        """Terminate the workers that are still running."""
        for process in self.alive:
            process.terminate()
        for process in self.alive:
            process.wait()
