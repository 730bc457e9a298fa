"""Worker process that claims cells one after the other and runs each with the ablation notebook."""

import os
import socket
import sys
from typing import Any

import optuna
import papermill

from ablations.arguments import default_storage
from ablations.definitions import StudyError
from ablations.queue import ERROR, HOST, PARAMETERS, RUN, Queue
from ablations.storage import WORKER, open_storage, quiet_optuna, run_one, sign_of_life
from ilrm.notebook.engine import engine
from ilrm.notebook.launcher import inline_figures
from ilrm.presets import run_config
from ilrm.runs.store import Run, find_run
from ilrm.system.paths import NOTEBOOKS, RUNS

NOTEBOOK = NOTEBOOKS / "ablation.ipynb"


def work(queues: list[Queue], run_by: int | None = None) -> None:
    """Run cells until none is waiting in any of the queues.

    `run_by`: the process that started this worker; once it has ended, no further cells are claimed.
    """
    with sign_of_life() as name:
        for queue in queues:
            queue.recover()
            while queue.waiting() and (run_by is None or os.getppid() == run_by):
                run_one(queue.trials, _objective(queue, name), (Exception,))
                queue.recover()


def _objective(queue: Queue, worker: str):
    def objective(trial: optuna.Trial) -> float:
        if not queue.planned(trial):
            raise optuna.TrialPruned("no longer planned, or another worker emptied the queue")
        trial.set_user_attr(WORKER, worker)
        trial.set_user_attr(HOST, socket.gethostname())
        if queue.taken(trial):
            raise optuna.TrialPruned("enqueued twice: another trial runs this cell")
        try:
            return run_cell(trial.user_attrs[RUN], trial.user_attrs[PARAMETERS])
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            trial.set_user_attr(ERROR, lines[-1])
            raise

    return objective


def run_cell(run: str, parameters: dict[str, Any]) -> float:
    """Execute the notebook with these parameters, write it to the run's folder, and return the PSNR in dB.

    Raises StudyError if the notebook ends without a complete run, and whatever papermill raises.
    """
    config = run_config(**parameters)
    if config.name != run:
        raise StudyError(
            f"{run} was enqueued by another version of the code and is now {config.name}: enqueue it again"
        )
    output = RUNS / run / NOTEBOOK.name
    if (complete := find_run(config)) is not None and output.exists():
        return _psnr(complete)
    output.parent.mkdir(parents=True, exist_ok=True)
    paths = str(NOTEBOOK), str(output)
    papermill.execute_notebook(*paths, parameters, engine_name=engine(), progress_bar=False)
    if (complete := find_run(config)) is None:
        raise StudyError(f"{output} ended without a complete run: see its last cells")
    return _psnr(complete)


def _psnr(run: Run) -> float:
    return run.metrics["summary"]["model"]["psnr"]["mean"]


def main(names: list[str], run_by: int) -> None:
    """Entry point of the worker processes that `ablations.runner` starts."""
    quiet_optuna()
    inline_figures()
    opened = open_storage(default_storage(), patient=True)
    work([Queue.named(name, opened) for name in names], run_by)


if __name__ == "__main__":
    main(sys.argv[1:-1], int(sys.argv[-1]))
