"""Measurements of many cases, kept row by row in the run store: one that was cut short resumes.

A folder `runs/benchmarks/SCALE-DEVICE` holds a file a measured row under rows/, and, made from these,
measurements.csv and environment.json. Every case stands beside full attention of the same size.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ilrm.cost.floors import Device, floor_seconds
from ilrm.errors import RunError
from ilrm.paper_configs import TABLES, Case, cases
from ilrm.presets import run_config
from ilrm.ranges import check_option
from ilrm.runs import records
from ilrm.runs.benchmark_timing import FAILED, Bench
from ilrm.runs.store import ENVIRONMENT
from ilrm.system import attention_kernels as kernels
from ilrm.system.environment import describe
from ilrm.system.files import atomic_path, write_json
from ilrm.system.json_files import read_kept
from ilrm.system.paths import RUNS
from ilrm.system.progress import progress_bar

MEASUREMENTS = "measurements.csv"
RECOMPILES = 64  # of a block: one for each kind of size and each use, which dynamo limits to eight
CONDITIONS = ("device", "threads", "versions", "precision", "compiled")  # alike in all rows
PROVENANCE = ("date", "commit")  # of a row


def default_scale() -> str:
    """The paper's own scale on a GPU, the tiny one on a CPU."""
    return "paper" if torch.cuda.is_available() else "tiny"


def run(scale: str, tables: tuple[str, ...], seconds: float, record: bool) -> Path:
    """Measure what some tables report and is not measured yet; returns the folder of the results.

    Every row is on the disk as soon as it is there. Rows that failed are measured again. Raises
    RunError, also where `record` is given and nothing can be recorded.
    """
    unknown = [table for table in tables if table not in TABLES]
    if unknown:
        raise RunError(
            f"no configuration in tables {', '.join(unknown)}: known are {', '.join(TABLES)}"
        )
    check_option("seconds", seconds)
    if record:
        records.check_recordable()
    bench = Bench.here(seconds)
    store = Store(bench, scale)
    chosen = with_baselines(cases(tables, scale))
    missing = [case for case in chosen if store.row(case) is None]
    if len(missing) < len(chosen):
        print(
            f"{len(chosen) - len(missing)} of {len(chosen)} rows were measured before: remove "
            f"{store.rows} to measure them again"
        )
    with torch._dynamo.config.patch(recompile_limit=RECOMPILES):
        for case, row in measured(bench, missing):
            store.keep(case, row)
            store.write()
    if missing:
        store.saw(Bench.here(seconds).rates)  # a shared machine is not as fast at all times
    store.write()  # also where nothing was missing: a kill may have come between a row and the table
    if record:  # only what is complete
        return records.record(store.folder, (ENVIRONMENT, MEASUREMENTS), records.BENCHMARKS)
    return store.folder


def measured(
    bench: Bench, chosen: list[Case], show_progress: bool = True
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Cases with their rows."""
    bar = progress_bar(chosen, desc="benchmark", unit="case", disable=not show_progress)
    for case in bar:
        bar.set_postfix_str(case.name)
        yield case, bench.measure(case)


def with_baselines(chosen: list[Case]) -> list[Case]:
    """The cases and, right after each, full attention of the same size; once each."""
    pairs = [pair for case in chosen for pair in (case, case.baseline())]
    return list({(case.size, case.config, case.batch): case for case in pairs}.values())


class Store:
    """The rows that are kept of one device at one scale."""

    def __init__(self, bench: Bench, scale: str):
        self.bench, self.scale = bench, scale
        slug = "-".join(bench.rates.name.lower().replace("(r)", "").split())
        self.folder = RUNS / "benchmarks" / f"{scale}-{slug}"
        self.about = describe(bench.device) | {
            "precision": bench.precision,
            "compiled": bench.device.type == "cuda",
            "memory_is": "measured" if bench.device.type == "cuda" else "counted",
        }
        conditions = {name: self.about[name] for name in CONDITIONS}
        conditions["attention"] = os.environ.get(
            kernels.OPTION
        )  # else measured, and told by each row
        self.rows = self.folder / "rows" / _digest(conditions)
        self.saw(bench.rates)

    def row(self, case: Case) -> dict[str, Any] | None:
        """A case's row, measured under the same conditions; None also of one that failed."""
        row = read_kept(self._file(case))
        failed = any(str(value).startswith(FAILED) for value in row.values())
        return None if failed else row or None

    def keep(self, case: Case, row: dict[str, Any]) -> None:
        """Onto the disk, durably."""
        write_json(self._file(case), row | {name: self.about[name] for name in PROVENANCE})

    def saw(self, rates: Device) -> None:
        """Rates of the device; floors are computed from the best ones ever seen."""
        path = self.folder / ENVIRONMENT
        earlier = read_kept(path)
        flops = max(rates.flops, earlier.get("matmul_flops", 0.0))
        bandwidth = max(rates.bandwidth, earlier.get("bandwidth", 0.0))
        self.best = Device(rates.name, flops, bandwidth)
        self.about |= {"matmul_flops": flops, "bandwidth": bandwidth}
        write_json(path, self.about)

    def write(self) -> None:
        """measurements.csv from all rows that are kept, in the order of the cases."""
        order = with_baselines(cases(TABLES, self.scale))
        places = {(case.name, case.batch): place for place, case in enumerate(order)}
        paths = sorted(self.rows.glob("[!.]*.json"))  # a hidden one was cut short by a kill
        rows = [row for path in paths if (row := read_kept(path))]
        rows.sort(key=lambda row: places.get((row["case"], row["batch"]), len(places)))
        for row in rows:
            config = run_config(self.scale, **json.loads(row["fields"])).model
            size = row["views"], row["height"], row["width"]
            row["floor_s"] = floor_seconds(config, *size, self.best, self.bench.value_bytes)
        with atomic_path(self.folder / MEASUREMENTS) as beside:
            pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.5g")

    def _file(self, case: Case) -> Path:
        about = {"size": case.size, "batch": case.batch, "model": dataclasses.asdict(case.config)}
        return self.rows / f"{_digest(about)}.json"


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
