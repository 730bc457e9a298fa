"""Records of complete runs, from which the reports are generated: two small CSV files per scale.

`reports/records/studies/SCALE/runs.csv` has one row per run with its fields, costs and provenance,
`scenes.csv` one row per run and held-out scene with the model's metrics, averaged over the scene's target
views. Sweeps of the project are recorded as tables of their trials, `reports/records/sweeps/SCALE/NAME.csv`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.study import Cell
from ilrm.runs.records import STUDIES, SWEEPS
from ilrm.runs.store import Run, find_run
from ilrm.system.files import atomic_path
from ilrm.system.paths import RUNS
from ilrm.vocabulary import QUALITY

COSTS = ("parameters", "macs", "gaussians", "training_seconds", "lpips_missing")
_NO_SCENES = pd.DataFrame(columns=["run", "scene", *QUALITY])
PROVENANCE = ("date", "device", "threads", "commit")


def record(cells: Iterable[Cell], scale: str, store: Path = RUNS, records: Path = STUDIES) -> int:
    """Add the complete runs of these cells to the records; returns their number.

    Existing records are kept, except for runs that are recorded again.
    """
    rows, scenes = collect(cells, store)
    folder = records / scale
    _merge(folder / "runs.csv", rows, ["run"])
    _merge(folder / "scenes.csv", scenes, ["run", "scene"])
    return len(rows)


def record_sweeps(scale: str, store: Path = RUNS, records: Path = SWEEPS) -> list[str]:
    """Record the trials of the project's sweeps that were run at a scale; returns the names of the sweeps."""
    from ablations.sweep import SWEEPS as FILES
    from ablations.sweep import find_sweep, trials_file

    names = []
    for sweep in (find_sweep(path.stem) for path in sorted(FILES.glob("*.toml"))):
        trials = trials_file(sweep, scale, store)
        if trials.exists():
            table = pd.read_csv(trials).sort_values("trial")
            with atomic_path(records / scale / f"{sweep.name}.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.5g")
            names.append(sweep.name)
    return names


def collect(cells: Iterable[Cell], store: Path = RUNS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of the complete runs among these cells, and of their scenes, read from the run store."""
    wanted = {cell.run_name: cell for cell in cells}
    complete = {
        name: run
        for name, cell in wanted.items()
        if (run := find_run(cell.config, store)) is not None
    }
    rows = pd.DataFrame([_run_row(run, wanted[name]) for name, run in complete.items()])
    scenes = [_scene_rows(run) for run in complete.values()] or [_NO_SCENES]
    return rows, pd.concat(scenes, ignore_index=True)


def recorded(scale: str, records: Path = STUDIES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records of a scale: runs, indexed by name, and scenes; empty tables if there are none."""
    folder = records / scale
    if not (folder / "runs.csv").exists():
        return pd.DataFrame(), _NO_SCENES
    runs = pd.read_csv(folder / "runs.csv", index_col="run")
    return runs, pd.read_csv(folder / "scenes.csv")


def _run_row(run: Run, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run.folder.name}
    row["fields"] = json.dumps(cell.parameters, sort_keys=True)
    row |= {name: run.metrics[name] for name in COSTS}
    row |= {name: run.environment[name] for name in PROVENANCE}
    row["torch"] = run.environment["versions"]["torch"]
    return row


def _scene_rows(run: Run) -> pd.DataFrame:
    model = run.per_view[run.per_view.method == "model"]
    names = [name for name in (*QUALITY, "depth_spearman") if name in model]
    means = model.groupby("scene", sort=True)[names].mean().reset_index()
    means.insert(0, "run", run.folder.name)
    return means


def _merge(path: Path, rows: pd.DataFrame, keys: list[str]) -> None:
    if rows.empty:
        return
    if path.exists():
        old = pd.read_csv(path, dtype={"commit": str})
        rows = pd.concat([old[~old.run.isin(rows.run)], rows])
    rows = rows.sort_values(keys)
    with atomic_path(path) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.5g")
