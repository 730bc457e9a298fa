"""The paper's tables: all rows, counts at the paper's own configuration, every gap with its reason."""

import pandas as pd
import pytest

from reports.effects import Measurements
from reports.published import published
from reports.tables.paper_tables import KEYS, TIMED, long_table, table_names, wide_table
from tests.reports.test_effects import measurements

FOUND = measurements({"w/o token uplifting": -0.3})
NOTHING = Measurements("tiny", FOUND.runs.iloc[:0], FOUND.scenes.iloc[:0])


@pytest.mark.parametrize("table", table_names())
def test_every_row_is_there_and_every_gap_has_a_reason(table):
    long = long_table(table, NOTHING)
    entries = published()[published().table == table]
    assert long.published.tolist() == entries.value.tolist()
    gaps = long if "measured" not in long else long[long.measured.isna()]
    assert gaps.note.str.startswith("not measured: ").all()
    wide, notes = wide_table(long)
    assert len(wide) == len(entries.drop_duplicates(KEYS))
    assert all(
        any(f"({i})" in str(v) for v in wide.to_numpy().ravel()) for i in range(1, len(notes) + 1)
    )


def test_counts_are_the_papers_own():
    """At the paper's configuration, within the rounding of what it prints."""
    tables = [long_table(table, NOTHING) for table in table_names()]
    every = pd.concat(tables)
    counted = every[every.note.str.startswith("counted")]
    assert (counted.scale == "paper").all()
    # nothing else is at the paper's scale but times and memory of a recorded benchmark
    timed = every[(every.scale == "paper") & ~every.note.str.startswith("counted")]
    assert set(timed.metric) <= set(TIMED) and (timed.device.str.len() > 0).all()
    assert set(counted.metric) == {"params_m", "gaussians", "gflops", "relative_cost"}
    tolerance = counted.metric.map(
        {"params_m": 1.0, "gaussians": 0.0, "gflops": 0.01, "relative_cost": 0.005}
    )
    assert (counted.difference.abs() <= tolerance).all(), counted[
        counted.difference.abs() > tolerance
    ]
    assert len(counted) > 30


def test_another_scale_is_never_shown_as_the_papers():
    long = long_table("7", FOUND)
    row = long[(long.method == "w/o token uplifting") & (long.metric == "psnr")].iloc[0]
    assert row.scale == "tiny" and pd.isna(row.get("difference")) and row.seeds == 3
    assert row.effect_published == pytest.approx(-0.34)
    assert row.effect_measured == pytest.approx(-0.3, abs=0.02)
    wide, notes = wide_table(long)
    cells = wide.set_index("method").loc["w/o token uplifting"]
    assert cells["PSNR (dB), effect published"] == "-0.34"
    assert cells["PSNR (dB), effect measured"].startswith("-0.3")
    assert "PSNR (dB), difference" not in wide
    assert any("setting: 3 layers, (4,H,F) at 32x32, 3,000 steps" in note for note in notes)
    assert wide.iloc[0]["PSNR (dB), effect measured"] == "reference"
