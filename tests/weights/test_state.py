"""Weights folders: written, read back, refused."""

import json

import huggingface_hub
import pytest
import torch

from ilrm.errors import WeightsError
from ilrm.model import ILRM
from ilrm.presets import run_config
from ilrm.weights.state import Weights, read_weights, write_weights
from ilrm.weights.training_ranges import TrainingRanges
from tests.helpers import some_views

SEEN = TrainingRanges(views=(4, 4), rotation=(5.0, 90.0), fov=(55.0, 65.0), depth=(0.7, 7.0))


@pytest.fixture
def folder(tmp_path):
    config = run_config("smoke")
    torch.manual_seed(0)
    return write_weights(Weights(ILRM(config.model), config, "", SEEN), tmp_path)


def test_written_and_read_back(folder):
    weights = read_weights(folder)
    torch.manual_seed(0)
    model, views = ILRM(run_config("smoke").model).eval(), some_views(batch=1)
    assert weights.seen == SEEN
    assert weights.config == run_config("smoke") and not weights.model.training
    with torch.no_grad():
        assert torch.equal(weights.model.encode(views), model.encode(views))
        assert torch.equal(ILRM.from_pretrained(folder).encode(views), model.encode(views))
    assert folder.name.startswith("ilrm-0.") and "M-rooms-32x32-4v-" in folder.name
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]
    with pytest.raises(WeightsError, match="exists already"):
        write_weights(weights, folder.parent)
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_a_run_is_a_weights_folder(smoke_run):
    assert read_weights(smoke_run.folder).config == smoke_run.config


def test_a_hub_id(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(folder)
    )
    for name in ("someone/ilrm", "someone/ilrm-0.77M-rooms-32x32-4v-1a2b3c4d5e"):
        assert read_weights(name).source == name
    assert len(asked) == 2

    def offline(name, **_):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(WeightsError, match=r"someone/else .* \(no route to host\): check the name"):
        read_weights("someone/else")


def test_what_is_missing_is_named(folder, tmp_path):
    for source in ("./nowhere", "/no/such/folder", "nothing.pt", "runs/a/b"):
        with pytest.raises(WeightsError, match=f"{source} is missing"):
            read_weights(source)
    (folder / "model.safetensors").rename(tmp_path / "kept")
    with pytest.raises(WeightsError, match=r"no model\.safetensors"):
        read_weights(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json is truncated or not valid JSON"):
        read_weights(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"no config\.json"):
        read_weights(folder)


def test_damaged_and_foreign_weights(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match="truncated or not a safetensors"):
        read_weights(folder)
    file.write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    config["model"]["layers"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="missing keys blocks"):
        read_weights(folder)


def test_the_model_that_comes_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = read_weights("ilrm-small")
    assert weights.seen is not None and weights.config.model.layers == 6
    views = some_views(batch=1)
    assert next(weights.model.parameters()).dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(
            ILRM.from_pretrained("ilrm-small").encode(views), weights.model.encode(views)
        )
