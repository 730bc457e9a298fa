"""The benchmark: every part measured, pairs in one run, reasons where something is left out."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from ilrm.benchmark import main
from ilrm.cost.floors import Device
from ilrm.cost.memory import Workload, inference_bytes
from ilrm.paper_configs import Case
from ilrm.presets import run_config
from ilrm.runs import benchmark_runs as benchmarks
from ilrm.runs import benchmark_timing as timing
from ilrm.runs.benchmark_runs import measured, with_baselines
from ilrm.runs.benchmark_timing import Bench
from ilrm.system.paths import PROJECT

SMALL = Case(("1",), 2, 256, 256).at("smoke")


KILLED = """
import sys
from ilrm import benchmark
from ilrm.cost.floors import Device
from ilrm.runs import benchmark_timing as timing
timing.measured_device = lambda device, dtype, name: Device(name, 1e11, 1e10)
sys.exit(benchmark.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def known_rates(monkeypatch):
    """Of this machine: to measure them takes longer than the smoke scale's cases."""
    monkeypatch.setattr(timing, "measured_device", lambda _, __, name: Device(name, 1e11, 1e10))


@pytest.fixture
def bench():
    return Bench(torch.device("cpu"), Device("test", 1e11, 1e10), 8 << 30, budget=0.02)


def test_a_case_and_its_baseline_are_measured_one_after_the_other(bench):
    rows = pd.DataFrame([row for _, row in measured(bench, with_baselines([SMALL]), False)])
    assert list(rows.design) == ["iLRM", "full attention"]
    for part in ("encoder", "renderer", "training"):
        assert (rows[f"{part}_low_s"] <= rows[f"{part}_s"]).all()
        assert (rows[f"{part}_s"] <= rows[f"{part}_high_s"]).all() and (rows[f"{part}_s"] > 0).all()
    assert (rows.attention == "flash_attention_for_cpu").all()
    assert rows.memory[0] == inference_bytes(Workload(SMALL.config, *SMALL.size))
    assert (rows.training_memory > rows.memory).all()
    assert (rows.left_out == "").all() and (rows.training_left_out == "").all()


def test_training_steps_store_their_activations_at_every_scale(bench):
    run = bench._run(Case(("1",), 2, 256, 256))  # the paper's recipe checkpoints
    assert run_config("paper").train.checkpointing and not run.train.checkpointing
    assert not timing._model(bench._run(SMALL)).checkpointing


def test_what_takes_too_long_or_does_not_fit_is_left_out_with_its_reason(bench):
    slow = dataclasses.replace(bench, rates=Device("slow", 1e3, 1e10))
    row = slow.measure(SMALL)
    assert row["left_out"].startswith("would take about") and "encoder_s" not in row
    assert row["training_left_out"].startswith("would take about")
    small = dataclasses.replace(bench, memory=1_000)
    row = small.measure(SMALL)
    assert row["left_out"].startswith("would need") and "training_s" not in row


def test_command_line_writes_rows_and_provenance(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmarks, "RUNS", tmp_path)
    assert main(["--scale", "smoke", "--tables", "17", "--seconds", "0.01"]) == 0
    (folder,) = (tmp_path / "benchmarks").iterdir()
    assert str(folder) in capsys.readouterr().out
    rows = pd.read_csv(folder / "measurements.csv")
    assert len(rows) == 2 and rows.encoder_s.notna().all()
    about = json.loads((folder / "environment.json").read_text())
    assert about["matmul_flops"] > 0 and about["memory_is"] == "counted"


def test_only_a_complete_benchmark_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RUNS", tmp_path)
    monkeypatch.setattr(benchmarks.records, "BENCHMARKS", tmp_path / "records")
    measure = Bench.measure

    def stopped(bench, case):
        if case.config.cross_attention == "none":
            raise KeyboardInterrupt
        return measure(bench, case)

    arguments = ["--scale", "smoke", "--tables", "17", "--seconds", "0.01", "--record"]
    monkeypatch.setattr(Bench, "measure", stopped)
    assert main(arguments) == 130 and not (tmp_path / "records").exists()
    monkeypatch.setattr(Bench, "measure", measure)
    assert main(arguments) == 0
    (folder,) = (tmp_path / "records").iterdir()
    assert len(pd.read_csv(folder / "measurements.csv")) == 2


def test_a_case_that_fails_does_not_end_the_others_and_is_measured_again(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmarks, "RUNS", tmp_path)
    inference = Bench._inference

    def failing(bench, case, counted):
        if case.config.cross_attention != "none":
            raise RuntimeError("no kernel image\nis available")
        return inference(bench, case, counted)

    arguments = ["--scale", "smoke", "--tables", "17", "--seconds", "0.01"]
    monkeypatch.setattr(Bench, "_inference", failing)
    assert main(arguments) == 0
    assert "no kernel image" in capsys.readouterr().err  # with its traceback
    (folder,) = (tmp_path / "benchmarks").iterdir()
    rows = pd.read_csv(folder / "measurements.csv")
    assert rows.left_out[0] == "failed: RuntimeError: no kernel image"
    assert rows.training_s.notna().all() and rows.encoder_s.notna().tolist() == [False, True]
    monkeypatch.setattr(Bench, "_inference", inference)
    assert main(arguments) == 0
    assert "1 of 2 rows were measured before" in capsys.readouterr().out
    again = pd.read_csv(folder / "measurements.csv")
    assert again.encoder_s.notna().all() and again.encoder_s[1] == rows.encoder_s[1]


def test_tables_add_to_what_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmarks, "RUNS", tmp_path)
    for tables in ("8", "17"):
        assert main(["--scale", "smoke", "--tables", tables, "--seconds", "0.01"]) == 0
    (folder,) = (tmp_path / "benchmarks").iterdir()
    rows = pd.read_csv(folder / "measurements.csv")
    wanted = with_baselines(benchmarks.cases(("8", "17"), "smoke"))
    assert rows.case.tolist() == [case.name for case in wanted]


def test_a_benchmark_that_is_killed_goes_on_and_measures_no_row_twice(tmp_path, monkeypatch):
    arguments = ["--scale", "smoke", "--tables", "8", "--seconds", "0.01"]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments],
        env=os.environ | {"ILRM_RUNS": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
    )
    total = len(with_baselines(benchmarks.cases(("8",), "smoke")))
    deadline = time.monotonic() + 300
    while not list(tmp_path.rglob("rows/*/[!.]*.json")):  # a hidden one is being written
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = {path: path.read_bytes() for path in tmp_path.rglob("rows/*/[!.]*.json")}
    assert 1 <= len(kept) < total
    calls = []
    measure = Bench.measure
    monkeypatch.setattr(benchmarks, "RUNS", tmp_path)
    monkeypatch.setattr(Bench, "measure", lambda *a: calls.append(a) or measure(*a))
    assert main(arguments) == 0
    assert len(calls) == total - len(kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    (folder,) = (tmp_path / "benchmarks").iterdir()
    assert len(pd.read_csv(folder / "measurements.csv")) == total
    # what a kill in the middle of writing leaves is no row
    next(iter(kept)).with_name(".cut.json").write_text("{")
    (folder / "measurements.csv").unlink()  # killed between a row and the table
    assert main(arguments) == 0 and len(calls) == total - len(kept)
    assert len(pd.read_csv(folder / "measurements.csv")) == total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "1", "99"], "no configuration in tables 99: known are 1, 3,"),
        (["--seconds", "0"], "seconds=0.0: give a number above 0"),
        (["--seconds", "nan"], "seconds=nan: give a number above 0"),
        (["--seconds", "1e9"], "seconds=1000000000.0: give a number above 0, at most 3600"),
    ],
)
def test_mistakes_are_told(arguments, message, capsys):
    assert main(arguments) == 2
    assert f"error: {message}" in capsys.readouterr().err
