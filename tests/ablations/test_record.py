"""Records: small, sorted, complete; what was recorded before stays."""

import json
import shutil

import pandas as pd
import pytest
import torch

from ablations.queue import Queue
from ablations.record import (
    has_runs,
    left_out,
    record,
    record_baselines,
    record_shown,
    record_sweeps,
    recorded,
)
from ablations.storage import open_storage
from ablations.study import Cell, read_study, studies
from ablations.sweep import find_sweep, trials_file
from ilrm.errors import ConfigError
from ilrm.evaluation.summary import scene_means
from ilrm.presets import run_config
from ilrm.runs.store import Run


@pytest.fixture
def cell(smoke_run):
    return Cell("own", "base", 0, smoke_run.config, {"scale": "smoke", "seed": 0})


def test_records_hold_scene_means_and_provenance(smoke_run, cell, tmp_path):
    store = smoke_run.folder.parent
    assert record([cell], "smoke", store, tmp_path) == 1
    runs, scenes, baselines = recorded("smoke", tmp_path)
    name = smoke_run.config.name
    assert json.loads(runs.fields[name]) == {"scale": "smoke", "seed": 0}
    assert runs.parameters[name] == smoke_run.metrics["parameters"]
    assert runs.macs[name] == smoke_run.metrics["macs"]
    assert runs.device[name] == smoke_run.environment["device"]
    expected = scene_means(smoke_run.per_view, "model", "psnr")
    assert scenes.psnr.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-4)
    assert scenes.scene.tolist() == expected.index.tolist()
    data = smoke_run.config.evaluation_data.held_out_hash
    assert runs.data[name] == data and set(baselines.data) == {data}
    plane = baselines[baselines.method == "plane_warp"].psnr
    expected = scene_means(smoke_run.per_view, "plane_warp", "psnr")
    assert plane.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-4)


def test_recording_again_changes_no_byte_and_keeps_the_others(smoke_run, cell, tmp_path):
    store = smoke_run.folder.parent
    record([cell], "smoke", store, tmp_path)
    path = tmp_path / "smoke" / "runs.csv"
    rows = pd.read_csv(path)
    rows["run"] = "a-run-of-another-host"
    pd.concat([rows, pd.read_csv(path)]).to_csv(path, index=False)
    before = path.read_bytes()
    record([cell], "smoke", store, tmp_path)
    assert path.read_bytes() == before and path.read_text().count("\n") == 3


def test_a_shown_run_keeps_its_weights_in_half_precision(smoke_run, tmp_path, monkeypatch):
    monkeypatch.setattr("ablations.record.run_config", lambda scale, **fields: smoke_run.config)
    names = record_shown("smoke", smoke_run.folder.parent, tmp_path)
    copy = Run(tmp_path / smoke_run.folder.name)
    assert set(names) == {copy.folder.name}
    assert copy.metrics == smoke_run.metrics and copy.history.equals(smoke_run.history)
    for kept, own in zip(copy.model().parameters(), smoke_run.model().parameters(), strict=True):
        assert torch.allclose(kept, own, rtol=1e-3, atol=1e-6)
    sizes = [(run.folder / "model.safetensors").stat().st_size for run in (copy, smoke_run)]
    assert sizes[0] < 0.6 * sizes[1]


def test_what_is_not_complete_is_not_recorded(smoke_run, tmp_path):
    copy = tmp_path / "store" / smoke_run.folder.name
    shutil.copytree(smoke_run.folder, copy)
    (copy / "metrics.json").unlink()
    cells = studies()["layers"].cells("smoke", 1)
    cells.append(Cell("own", "base", 0, run_config("smoke"), {}))
    assert record(cells, "smoke", tmp_path / "store", tmp_path / "records") == 0
    assert recorded("smoke", tmp_path / "records")[0].empty


def test_trials_of_the_projects_sweeps_are_recorded_in_order(tmp_path):
    path = trials_file(find_sweep("recipe"), "smoke", tmp_path)
    path.parent.mkdir(parents=True)
    pd.DataFrame({"trial": [3, 1], "state": "complete", "psnr": [20.0, 19.0]}).to_csv(
        path, index=False
    )
    assert record_sweeps("tiny", tmp_path, tmp_path / "records") == []
    assert record_sweeps("smoke", tmp_path, tmp_path / "records") == ["recipe"]
    assert list(pd.read_csv(tmp_path / "records" / "smoke" / "recipe.csv").trial) == [1, 3]


def test_runs_that_are_not_recorded_say_which_scale_and_file_to_name(smoke_run, cell, tmp_path):
    store, journal = tmp_path / "store", tmp_path / "journal"
    shutil.copytree(smoke_run.folder, store / smoke_run.folder.name)
    wanted = studies()["layers"]

    def left(scale, everywhere=True):
        found = wanted.cells(scale, 1)
        return left_out(found, scale, everywhere, store, str(journal))

    assert left("tiny") == ["1 complete runs exist at --scale smoke"]
    assert left("smoke") == [
        "1 complete runs at --scale smoke belong to none of these studies: name your study files"
    ]
    assert left("smoke", everywhere=False) == [] and not journal.exists()
    path = tmp_path / "mine.toml"
    path.write_text("varies = 'layers'\nvalues = [1, 2]")
    Queue.open(read_study(path), "smoke", open_storage(str(journal)))
    assert left("smoke", everywhere=False)[0].endswith("name your study files: mine.toml")
    assert left_out([cell], "smoke", True, store, str(journal)) == []


def test_baselines_need_no_run(smoke_run, cell, tmp_path, monkeypatch):
    """The scenes are those of the scale, although its training scenes are not rendered."""
    monkeypatch.setenv("ILRM_CACHE", str(tmp_path / "cache"))
    record_baselines("smoke", tmp_path / "alone")
    (index,) = (tmp_path / "cache").glob("*/train/index.json")
    assert len(json.loads(index.read_text())) == 1 < smoke_run.config.data.procedural_train
    assert not has_runs("smoke", tmp_path / "alone")
    runs, scenes, baselines = recorded("smoke", tmp_path / "alone")
    assert runs.empty and scenes.empty
    record([cell], "smoke", smoke_run.folder.parent, tmp_path / "beside")
    assert has_runs("smoke", tmp_path / "beside")
    pd.testing.assert_frame_equal(baselines, recorded("smoke", tmp_path / "beside").baselines)
    with pytest.raises(ConfigError, match="RealEstate10K"):
        record_baselines("paper", tmp_path)
