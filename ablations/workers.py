"""Worker processes on this host, which are started while there is work and replaced when they die."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO

import torch
from tqdm import tqdm

from ablations.arguments import STORAGE
from ablations.definitions import StudyError
from ilrm.system.paths import RUNS, find_suite

DEATHS = 20  # number of worker deaths after which the runner gives up
FRUITLESS = 3  # number of successive workers that end at once without doing anything, after which it gives up
AT_ONCE = 60.0  # seconds; a worker that claims nothing lives as long as its imports take
# what is cut from an error's last line: the type if a user can fix it, else only the module of the type
_TYPE = re.compile(r"^(?:ilrm|ablations)(?:\.\w+)+: |^(?:\w+\.)+(?=\w+: )")


@dataclass(frozen=True)
class _Worker:
    """A process, its stderr, and the number of waiting cells and the time at which it was started."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    waiting: int
    started: float

    def written(self) -> bytes:
        self.errors.seek(0)
        return self.errors.read()


class Workers:
    """Up to `count` processes `python -m MODULE ARGUMENTS... PID` that share the cores.

    PID is this process; workers take no further work once it has ended. They keep its working folder, so that
    relative paths mean the same to them. The address of their `storage` may contain a password, so it is
    passed in an environment variable: command lines can be read by every user of a machine.
    """

    def __init__(self, count: int, module_and_arguments: list[str], storage: str = ""):
        self.environment = {STORAGE: storage} if storage else {}
        self.count, self.deaths, self.started = count, 0, 0
        self.command = [sys.executable, "-m", *module_and_arguments, str(os.getpid())]
        self.workers: list[_Worker] = []
        self.log = RUNS / "workers.log"
        self.last_error = ""
        self.fruitless = 0

    @property
    def alive(self) -> list[subprocess.Popen[bytes]]:
        """The processes that have not been seen to end."""
        return [worker.process for worker in self.workers]

    def keep_going(self, waiting: int) -> None:
        """Replace workers that have ended while work is waiting.

        Raises StudyError where that would not help: two workers in succession died with the same error,
        several ended at once without doing anything, or they keep dying.
        """
        ended = [worker for worker in self.workers if worker.process.poll() is not None]
        self.workers = [worker for worker in self.workers if worker not in ended]
        for worker in ended:
            self._handle_end(worker, waiting)
        for _ in range(min(self.count - len(self.workers), waiting)):
            self._start(waiting)

    def _handle_end(self, worker: _Worker, waiting: int) -> None:
        error, status = self._keep(worker), worker.process.returncode
        if not status:
            idle = waiting >= worker.waiting and time.monotonic() - worker.started < AT_ONCE
            self.fruitless = self.fruitless + 1 if idle and waiting else 0
            if self.fruitless == FRUITLESS:
                raise StudyError(
                    f"{FRUITLESS} workers ended at once although {waiting} cells wait: see {self.log}"
                )
            return
        self.deaths += 1
        if status > 0 and error and error == self.last_error:
            raise StudyError(f"two workers ended with the same error: {error}")
        self.last_error = error
        if self.deaths > DEATHS:
            raise StudyError(f"{self.deaths} workers died: see {self.log}")
        says = f", {error}" if error else ""
        tqdm.write(f"a worker died (status {status}{says}): another one takes over its work")

    def _keep(self, worker: _Worker) -> str:
        """Add what a worker wrote to stderr to the log; returns its last line, which names the error."""
        written = worker.written()
        worker.errors.close()
        with self.log.open("ab") as log:
            log.write(written)
        lines = written.decode(errors="replace").strip().splitlines() or [""]
        return _TYPE.sub("", lines[-1])

    def _start(self, waiting: int) -> None:
        threads = max(1, (os.cpu_count() or 1) // self.count)
        find_suite()  # the worker is a module of the suite
        # no spinning, which would take CPU time from the other workers
        sleeping = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **sleeping}
        environment |= self.environment
        devices = torch.cuda.device_count()
        if devices > 1:  # assign GPUs in turn
            environment.setdefault("CUDA_VISIBLE_DEVICES", str(self.started % devices))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        errors = tempfile.TemporaryFile()  # noqa: SIM115, as it is read when the worker has ended
        with self.log.open("ab") as log:
            process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=errors)
        self.workers.append(_Worker(process, errors, waiting, time.monotonic()))
        self.started += 1

    def stop(self) -> None:
        """Terminate the workers that are still running."""
        for process in self.alive:
            process.terminate()
        for worker in self.workers:
            worker.process.wait()
            self._keep(worker)
        self.workers = []
