"""Measurements of many cases, saved row by row in the run store, so that an interrupted benchmark resumes.

A folder `runs/benchmarks/SCALE-DEVICE` holds environment.json, one file per measured row under rows/, and
measurements.csv, which is made from these. Every case is measured next to full attention of the same size.
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
from ilrm.fast import RECOMPILES
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
# the same for all rows of a folder
CONDITIONS = ("device", "threads", "versions", "precision", "compiled")
PROVENANCE = ("date", "commit")  # stored in each row


def default_scale() -> str:
    """The paper's own scale on a GPU, the tiny one on a CPU."""
    return "paper" if torch.cuda.is_available() else "tiny"


def run(scale: str, tables: tuple[str, ...], seconds: float, record: bool) -> Path:
    """Measure the cases of some tables that are not measured yet; returns the folder of the results.

    Every row is saved as soon as it is measured. Rows that failed are measured again. Raises RunError, also
    if `record` is given and nothing can be recorded.
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
    # a block compiled for any size is slower: each size is compiled for itself
    with torch._dynamo.config.patch(recompile_limit=RECOMPILES, automatic_dynamic_shapes=False):
        for case, row in measured(bench, missing):
            store.keep(case, row)
            store.write()
    if missing:
        store.saw(Bench.here(seconds).rates)  # the speed of a shared machine varies
    store.write()  # even if no row was missing, as a killed process may not have written the table
    if record:
        return records.record(store.folder, (ENVIRONMENT, MEASUREMENTS), records.BENCHMARKS)
    return store.folder


def measured(
    bench: Bench, chosen: list[Case], show_progress: bool = True
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Measure cases, and yield each with its row."""
    bar = progress_bar(chosen, desc="benchmark", unit="case", disable=not show_progress)
    for case in bar:
        bar.set_postfix_str(case.name)
        yield case, bench.measure(case)


def with_baselines(chosen: list[Case]) -> list[Case]:
    """The cases, each followed by full attention of the same size, without duplicates."""
    pairs = [pair for case in chosen for pair in (case, case.baseline())]
    return list({(case.size, case.config, case.batch): case for case in pairs}.values())


class Store:
    """The saved rows of one device at one scale."""

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
        # if unset, the kernel is chosen by a measurement, and each row names it
        conditions["attention"] = os.environ.get(kernels.OPTION)
        self.rows = self.folder / "rows" / _digest(conditions)
        self.saw(bench.rates)

    def row(self, case: Case) -> dict[str, Any] | None:
        """A case's row, measured under the same conditions; None if it is missing or failed."""
        row = read_kept(self._file(case))
        failed = any(str(value).startswith(FAILED) for value in row.values())
        return None if failed else row or None

    def keep(self, case: Case, row: dict[str, Any]) -> None:
        """Write a case's row to the disk."""
        write_json(self._file(case), row | {name: self.about[name] for name in PROVENANCE})

    def saw(self, rates: Device) -> None:
        """Take in measured rates of the device; floors are computed from the best rates so far."""
        path = self.folder / ENVIRONMENT
        earlier = read_kept(path)
        flops = max(rates.flops, earlier.get("matmul_flops", 0.0))
        bandwidth = max(rates.bandwidth, earlier.get("bandwidth", 0.0))
        self.best = Device(rates.name, flops, bandwidth)
        self.about |= {"matmul_flops": flops, "bandwidth": bandwidth}
        write_json(path, self.about)

    def write(self) -> None:
        """Write measurements.csv from all saved rows, in the order of the cases."""
        order = with_baselines(cases(TABLES, self.scale))
        places = {(case.name, case.batch): place for place, case in enumerate(order)}
        paths = sorted(self.rows.glob("[!.]*.json"))  # hidden files were left by killed processes
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
