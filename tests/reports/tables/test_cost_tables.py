"""Cost tables: the paper's own counts, its rows found, measurements placed beside them."""

import json

import pandas as pd
import pytest

from ilrm import cost
from ilrm.paper_configs import CASES
from reports.effects import Measurements
from reports.published import published
from reports.tables import cost_tables, paper_tables
from reports.tables.cost_tables import (
    Benchmark,
    counts,
    device_floors,
    floors,
    paper_case,
    parts,
    recorded_benchmarks,
    three_counts,
    training_memory_table,
)

ABOUT = {
    "device": "Some GPU",
    "date": "2026-01-01",
    "commit": "abc",
    "threads": 1,
    "precision": "bf16",
    "versions": {"torch": "2"},
    "compiled": True,
    "matmul_flops": 1e14,
    "bandwidth": 1e12,
}


def test_three_counts_are_one_for_every_configuration_of_the_paper():
    table = counts()
    assert len(table) == len(CASES)
    assert (table.macs == table.fvcore).all() and (table.macs == table.torch).all()


def test_counts_are_those_that_the_paper_reports():
    for metric, unit, half in (("params_m", 1e-6, 0.6), ("gaussians", 1, 0)):
        entries = published()[published().metric == metric]
        found = 0
        for _, entry in entries.iterrows():
            case = paper_case(entry)
            if case is not None:
                (row,) = counts()[counts().configuration == case.name].to_dict("records")
                column = "parameters" if metric == "params_m" else "gaussians"
                assert unit * row[column] == pytest.approx(entry.value, abs=half), case.name
                found += 1
        assert found >= 6


def test_every_own_time_of_the_paper_has_a_configuration_and_a_floor_below_it():
    times = published()[(published().metric == "time_s") & published().table.isin(["1", "15"])]
    own = times[times.method.str.startswith("iLRM")]
    assert all(paper_case(entry) is not None for _, entry in own.iterrows())
    table = floors()
    assert (table["published / floor"].astype(float) > 1).all()
    assert (table.table == "15").sum() == 6


def test_a_faster_device_has_a_lower_floor():
    table = device_floors(CASES[3].config, *CASES[3].size).set_index("device")
    ms = table["floor (ms)"].astype(float)
    gflops = counts()[counts().configuration == CASES[3].name].macs.iloc[0] * 2 / 1e9
    assert ms["H100"] == pytest.approx(gflops / 989, abs=0.01)
    assert ms["RTX 4090"] > ms["H100"]


def test_parts_sum_to_all():
    table = parts(CASES[0].config, 2, 64, 64)
    shares = table[table.of == "all"].share.str.rstrip("%").astype(float)
    assert shares.sum() == pytest.approx(100, abs=0.5)
    ratios = three_counts(CASES[0].config, 2, 64, 64)
    assert (ratios["fvcore / closed form"] == "1.000").all()


def test_mini_batches_keep_less_memory_in_the_order_of_table_8():
    shares = training_memory_table()["its share"].astype(float)
    assert shares.is_monotonic_decreasing and shares.iloc[0] == 1


def _record(folder, case, **values):
    folder.mkdir(parents=True)
    row = {"case": case.name, "attention": "flash_attention", "left_out": "", **values}
    row = {"training_left_out": "", "fields": json.dumps(case.fields), **row}
    row = {"parameters": cost.parameters(case.config), **row}
    pd.DataFrame([row]).to_csv(folder / "measurements.csv", index=False)
    (folder / "environment.json").write_text(json.dumps(ABOUT))


def test_memory_that_could_not_be_told_apart_is_a_dash_with_its_reason():
    """A case that was left out has its reason in its own cell."""
    rows = pd.DataFrame({"left_out": ["", "too long"], "memory": [1e9, None]})
    about = {**ABOUT, "memory_is": "measured"}
    assert "-:" not in Benchmark(rows, about).memory_note
    unknown = Benchmark(rows.assign(memory=[None, None]).astype({"memory": float}), about)
    assert unknown.memory_note.endswith(
        "-: not told apart from what earlier cases had left in memory"
    )


def test_a_benchmark_at_the_papers_scale_fills_its_rows(tmp_path, monkeypatch):
    case = next(c for c in CASES if "8" in c.tables and c.fields == {"minibatch": 4})
    folder = tmp_path / "paper-some-gpu"
    _record(folder, case, encoder_s=0.01, training_s=0.5, training_memory=3e10, memory=1e9)
    monkeypatch.setattr(
        paper_tables, "recorded_benchmarks", lambda scale: recorded_benchmarks(scale, tmp_path)
    )
    long = paper_tables.long_table("8", Measurements.recorded("tiny"))
    (quarter,) = long[(long.method == "quarter cross-attention") & (long.metric == "iteration_s")][
        ["measured", "difference", "device", "note"]
    ].to_dict("records")
    assert quarter["measured"] == 0.5 and quarter["difference"] == pytest.approx(0.5 - 0.94)
    assert quarter["device"] == "Some GPU" and "flash_attention" in quarter["note"]
    others = long[(long.method == "baseline") & (long.metric == "iteration_s")]
    assert others.measured.isna().all() and others.note.str.contains("not measured").all()


def test_a_benchmark_of_a_former_preset_is_not_shown_as_the_present_one_s(tmp_path):
    _record(tmp_path / "paper-some-gpu", CASES[0])
    assert len(recorded_benchmarks("paper", tmp_path)) == 1
    _record(tmp_path / "paper-other-gpu", CASES[0], parameters=123)
    assert [b.about for b in recorded_benchmarks("paper", tmp_path)] == [ABOUT]
    assert len(recorded_benchmarks("paper", tmp_path)) == 1


def test_a_benchmark_reads_with_its_reasons(tmp_path):
    _record(
        tmp_path / "a", CASES[0], macs=1e9, left_out="would need 9 GB", training_left_out="too long"
    )
    text = Benchmark.read(tmp_path / "a").text()
    assert text["encoder (ms)"][0] == "would need 9 GB"
    assert cost_tables.recorded_benchmarks("paper", tmp_path) == []
