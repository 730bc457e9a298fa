"""Recorded evaluations in the tables: all of them in one, and at the paper's configuration as measured."""

import dataclasses
import json

import pytest

from ilrm.data.frames.protocols import PROTOCOLS
from ilrm.paper_configs import CASES
from ilrm.presets import run_config
from ilrm.runs.store import RunFolder
from ilrm.vocabulary import METHODS
from reports.published import published
from reports.tables import evaluation_tables


def recorded(folder, protocol, views, model, scenes=None, found=None):
    value = {"mean": 25.5, "low": 25.0, "high": 26.0}
    protocol = PROTOCOLS[protocol]
    config = {
        "weights": "w",
        "run": {"model": dataclasses.asdict(model)},
        "protocol": protocol.name,
        "data": "d",
        "index": "index.json",
        "views": views,
        "framing": vars(protocol.framing),
        "evaluation": {"camera_noise": 0.0},
        "scenes": scenes,
    }
    summary = {m: {"psnr": value} for m in METHODS}
    metrics = {
        "summary": summary,
        "scenes": found or protocol.published.scenes,
        "skipped": {"a": "why"},
        "null": 2,
    }
    environment = {"device": "a GPU", "date": "2026-01-01", "commit": "abc"}
    for name, content in (("config", config), ("metrics", metrics), ("environment", environment)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return RunFolder(folder)


def entry_of(table, views, metric="psnr"):
    entries = published()
    found = entries[
        (entries.table == table)
        & (entries.method == "iLRM")
        & (entries.views == views)
        & (entries.metric == metric)
    ]
    return found.iloc[0]


@pytest.mark.parametrize(
    ("table", "protocol", "views"),
    [("1", "re10k", 8), ("3", "dl3dv-50", 6), ("5", "dl3dv-wide-32", 32)],
)
def test_the_paper_s_configuration_fills_its_line(table, protocol, views, tmp_path, monkeypatch):
    entry = entry_of(table, views)
    case = next(
        c for c in CASES if table in c.tables and c.views == views and c.config.minibatch == 1
    )
    result = recorded(tmp_path, protocol, views, case.config)
    monkeypatch.setattr(evaluation_tables, "recorded_evaluations", lambda: [result])
    row = evaluation_tables.evaluated(entry)
    assert (row["measured"], row["device"]) == (25.5, "a GPU")
    assert row["scenes"] == PROTOCOLS[protocol].published.scenes
    assert row["difference"] == pytest.approx(25.5 - entry.value)
    assert evaluation_tables.evaluated(entry_of(table, views, "lpips")) is None
    assert "a GPU" in evaluation_tables.evaluations_notes()[-1]
    assert list(evaluation_tables.evaluations_table()["skipped"]) == [3] * len(METHODS)


def test_other_models_views_and_shares_of_the_scenes_do_not(tmp_path, monkeypatch):
    entry = entry_of("1", 8)
    paper = next(c for c in CASES if "1" in c.tables and c.views == 8 and c.config.minibatch == 1)
    for model, views, scenes, found in (
        (run_config("tiny").model, 8, None, None),
        (paper.config, 4, None, None),
        (paper.config, 8, 100, None),
        (paper.config, 8, None, 6),  # an index of one's own
    ):
        result = recorded(tmp_path, "re10k", views, model, scenes, found)
        monkeypatch.setattr(evaluation_tables, "recorded_evaluations", lambda r=result: [r])
        assert evaluation_tables.evaluated(entry) is None
