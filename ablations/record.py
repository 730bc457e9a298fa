"""Records of complete runs: small CSV files per scale, which the reports are made from.

`reports/records/studies/SCALE/runs.csv` has one row per run: its fields, costs and provenance; `scenes.csv`
one per run and held-out scene: the model's metrics, means over the scene's target views; `baselines.csv` the
same for the baselines, once per data set. Sweeps of the project are recorded as tables of their trials,
`reports/records/sweeps/SCALE/NAME.csv`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ablations.study import LENGTHS, Cell
from ilrm.errors import ConfigError
from ilrm.presets import SCALES, run_config
from ilrm.runs.baseline_rows import baseline_rows
from ilrm.runs.records import RUNS as SHOWN
from ilrm.runs.records import STUDIES, SWEEPS, record_run
from ilrm.runs.store import METRICS, Run, find_run
from ilrm.system.files import atomic_path
from ilrm.system.paths import RUNS
from ilrm.system.tables import read_table
from ilrm.vocabulary import QUALITY

# Runs of the default scale whose curves, renders and attention the reports show, as changes to the preset.
SHOWN_SCALE = "tiny"
COMPARED: tuple[dict[str, Any], ...] = (
    {"cross_attention": "none", "initial_tokens": "image"},
    {"refinement": "first_layer"},
)
SHOWN_FIELDS: tuple[dict[str, Any], ...] = (
    {},
    *({"steps": steps} for steps in LENGTHS[SHOWN_SCALE]),
    *COMPARED,
)
SHOWN_QUALITY = ("psnr", "ssim")  # LPIPS is not measured everywhere
COSTS = ("parameters", "macs", "gaussians", "training_seconds", "lpips_missing")
_NO_SCENES = pd.DataFrame(columns=["run", "scene", *QUALITY])
_NO_BASELINES = pd.DataFrame(columns=["data", "method", "scene", *QUALITY])
PROVENANCE = ("date", "device", "threads", "commit")


class Recorded(NamedTuple):
    """Three tables: runs, the model's metrics per run and scene, the baselines' per data set and scene."""

    runs: pd.DataFrame
    scenes: pd.DataFrame
    baselines: pd.DataFrame


def record(cells: Iterable[Cell], scale: str, store: Path = RUNS, records: Path = STUDIES) -> int:
    """Add the complete runs of these cells to the records; returns their number.

    Existing records are kept, except for runs that are recorded again.
    """
    new = collect(cells, store)
    folder = records / scale
    _merge(folder / "runs.csv", new.runs, "run", ["run"])
    _merge(folder / "scenes.csv", new.scenes, "run", ["run", "scene"])
    _merge(folder / "baselines.csv", new.baselines, "data", ["data", "method", "scene"])
    return len(new.runs)


def record_shown(scale: str, store: Path = RUNS, records: Path = SHOWN) -> list[str]:
    """Record the complete runs among those that the reports show, with their weights; returns their names."""
    configs = [run_config(scale, **fields) for fields in SHOWN_FIELDS]
    runs = [run for config in configs if (run := find_run(config, store)) is not None]
    return [record_run(run, records).name for run in runs]


def record_sweeps(scale: str, store: Path = RUNS, records: Path = SWEEPS) -> list[str]:
    """Record the trials of the project's sweeps that were run at a scale; returns the names of the sweeps."""
    from ablations.sweep import SWEEPS as FILES
    from ablations.sweep import find_sweep, trials_file

    names = []
    for sweep in (find_sweep(path.stem) for path in sorted(FILES.glob("*.toml"))):
        trials = trials_file(sweep, scale, store)
        if trials.exists():
            table = read_table(trials).sort_values("trial").assign(search=sweep.hash(scale))
            with atomic_path(records / scale / f"{sweep.name}.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.5g")
            names.append(sweep.name)
    return names


def left_out(
    cells: Iterable[Cell], scale: str, everywhere: bool, store: Path = RUNS, storage: str = ""
) -> list[str]:
    """Say, in lines, which complete runs of the store are not among these cells, and how to record them.

    These are the runs of further studies in the journal (`storage`; by default the run store's) and, with
    `everywhere`, all other runs, including those of other scales.
    """
    from ablations.arguments import default_storage
    from ablations.queue import studies_in
    from ablations.storage import open_storage

    cells = list(cells)
    own = {cell.run_name for cell in cells}
    others = [name for name in _complete_runs(store) if name not in own]
    counts = Counter(name.partition("-")[0] for name in others)
    known = {cell.study for cell in cells}
    queued = studies_in(open_storage(storage or default_storage(), create=False), scale)
    files = [f"{name}.toml" for name in sorted(queued - known)]
    lines = []
    if counts[scale] and (files or everywhere):
        lines.append(
            f"{counts[scale]} complete runs at --scale {scale} belong to none of these studies: name your "
            f"study files{': ' if files else ''}{', '.join(files)}"
        )
    if everywhere:
        for other in (other for other in SCALES if other != scale and counts[other]):
            lines.append(f"{counts[other]} complete runs exist at --scale {other}")
    return lines


def _complete_runs(store: Path) -> list[str]:
    """Names of the complete training runs in a run store."""
    scales = "|".join(SCALES)
    name = re.compile(rf"(?:{scales})-\d+x\d+-.*-[0-9a-f]{{10}}")
    folders = (path.parent.name for path in sorted(store.glob(f"*/{METRICS}")))
    return [folder for folder in folders if name.fullmatch(folder)]


def collect(cells: Iterable[Cell], store: Path = RUNS) -> Recorded:
    """Collect the tables to record for the complete runs among these cells, from the run store."""
    wanted = {cell.run_name: cell for cell in cells}
    complete = {
        name: run
        for name, cell in wanted.items()
        if (run := find_run(cell.config, store)) is not None
    }
    rows = pd.DataFrame([_run_row(run, wanted[name]) for name, run in complete.items()])
    scenes = [_scene_rows(run) for run in complete.values()] or [_NO_SCENES]
    data = {run.config.evaluation_data.held_out_hash: run for run in complete.values()}
    baselines = [_baseline_rows(name, run.per_view) for name, run in data.items()]
    return Recorded(
        rows,
        pd.concat(scenes, ignore_index=True),
        pd.concat(baselines or [_NO_BASELINES], ignore_index=True),
    )


def has_runs(scale: str, records: Path = STUDIES) -> bool:
    """Whether runs of a scale are recorded, and not its baselines alone."""
    return (records / scale / "runs.csv").exists()


def recorded(scale: str, records: Path = STUDIES) -> Recorded:
    """The records of a scale, runs indexed by name; empty where there are none."""
    folder = records / scale
    file, baselines = folder / "baselines.csv", _NO_BASELINES
    if file.exists():
        baselines = read_table(file, columns=("data", "method", "scene"), numbers=SHOWN_QUALITY)
    if not has_runs(scale, records):
        return Recorded(pd.DataFrame(), _NO_SCENES, baselines)
    runs = read_table(folder / "runs.csv", columns=("run",)).set_index("run")
    scenes = read_table(folder / "scenes.csv", columns=("run", "scene"), numbers=SHOWN_QUALITY)
    return Recorded(runs, scenes, baselines)


def _run_row(run: Run, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run.folder.name}
    row["fields"] = json.dumps(cell.parameters, sort_keys=True)
    row["data"] = run.config.evaluation_data.held_out_hash
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


def record_baselines(scale: str, records: Path = STUDIES) -> Path:
    """Measure the baselines of a scale's held-out scenes and add them to its records; returns the file.

    Of the training scenes, on which no baseline depends, only one is rendered. Raises ConfigError at the
    scale of the paper, whose scenes are not procedural.
    """
    if scale == "paper":
        raise ConfigError(
            "scale=paper has the scenes of RealEstate10K: `python -m ilrm.evaluate` measures their baselines"
        )
    data = run_config(scale).evaluation_data
    rows = baseline_rows(replace(data, procedural_train=1))
    path = records / scale / "baselines.csv"
    named = _baseline_rows(data.held_out_hash, rows)
    _merge(path, named, "data", ["data", "method", "scene"])
    return path


def _baseline_rows(data: str, per_view: pd.DataFrame) -> pd.DataFrame:
    """Means over each scene's targets, per baseline."""
    rows = per_view[per_view.method != "model"]
    names = [name for name in QUALITY if name in rows]
    means = rows.groupby(["method", "scene"], sort=True)[names].mean().reset_index()
    means.insert(0, "data", data)
    return means


def _merge(path: Path, rows: pd.DataFrame, by: str, keys: list[str]) -> None:
    """Add rows to a table; rows of the same `by` are replaced."""
    if rows.empty:
        return
    if path.exists():
        old = read_table(path, columns=(by,))
        rows = pd.concat([old[~old[by].isin(rows[by])], rows])
    rows = rows.sort_values(keys)
    with atomic_path(path) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.5g")
