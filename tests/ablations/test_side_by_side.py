"""Cells side by side: the order of value, no cell twice, no optional packages."""

import os
import subprocess
import sys
import time

from ablations.side_by_side import cells_by_value, work
from ilrm.runs import training_runs as runs
from ilrm.system.paths import PROJECT


def test_a_seed_of_all_studies_comes_before_the_next_and_a_run_once():
    cells = cells_by_value(["components", "layers"], "small", 2)
    assert len({cell.run_name for cell in cells}) == len(cells)
    seeds = [cell.seed for cell in cells]
    assert seeds == sorted(seeds) and seeds.count(0) == seeds.count(1)
    assert (cells[0].study, cells[0].variant) == ("components", "base")
    assert {cell.study for cell in cells} == {"components", "layers"}


def test_nothing_is_begun_that_would_not_end_in_time(monkeypatch):
    monkeypatch.setattr(runs, "find_run", lambda config: None)
    monkeypatch.setattr(runs, "perform_run", lambda *_, **__: 1 / 0)
    work(cells_by_value(["views"], "smoke", 1), time.time() - 1, os.getppid())


def test_workers_share_the_cells_and_the_next_call_does_nothing_again(tmp_path):
    """Where neither Optuna nor papermill is installed."""
    hidden = "import sys\nsys.modules.update(dict.fromkeys(['optuna', 'papermill', 'pycolmap']))\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    store = tmp_path / "runs"
    command = [sys.executable, "-m", "ablations.side_by_side", "views", "--scale", "smoke"]
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    environment = os.environ | {"ILRM_RUNS": str(store), "PYTHONPATH": path}
    total = len(cells_by_value(["views"], "smoke", 1))
    for _ in range(2):
        done = subprocess.run(
            [*command, "--seeds", "1", "--workers", "2", "--minutes", "5"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        log = (store / "workers.log").read_text()
        assert done.returncode == 0 and f"{total} of {total} cells are done" in done.stdout, log
        assert log.count(" dB, ") == total and "failed" not in log
