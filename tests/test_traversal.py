"""Names that come from files never lead out of their folder: a test for every reader and every writer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ilrm import evaluate
from ilrm.data.batches import dataset_root
from ilrm.data.sources.captures import CaptureScenes, read_capture
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import DataError
from ilrm.system.files import file_name
from tests.data import layouts

KEYS = ["../../evil", "/tmp/evil", "..", "a/../../../evil", "evil/", "C:\\evil", "~/evil"]


def hostile(folder: Path, layout: str, absolute: bool) -> Path:
    """A capture whose first frame is an image outside of it, which exists."""
    made = layouts.LAYOUTS[layout]
    capture = made(folder / "capture")
    evil = folder / "evil.png"
    Image.new("RGB", (layouts.WIDTH, layouts.HEIGHT), "red").save(evil)
    # seen from the capture, or from the folder of images
    relative = "../evil.png" if "/" in made.image else "../../evil.png"
    wanted = str(evil) if absolute else relative
    names = capture / made.files[0]
    before = names.read_bytes()
    names.write_bytes(before.replace(made.image.encode(), wanted.encode(), 1))
    assert names.read_bytes() != before
    return capture


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("layout", layouts.NAMED)
def test_no_image_outside_of_a_capture_is_read(tmp_path, layout, absolute, monkeypatch):
    capture = hostile(tmp_path, layout, absolute)
    with pytest.raises(DataError, match=r"evil\.png' lies outside of .*: move it into that folder"):
        read_capture(capture)
    held = CaptureScenes(tmp_path)  # as evaluation and training read it
    with pytest.raises(DataError, match="lies outside of"):
        held.load(held.keys[0])


@pytest.mark.parametrize("name", ["../../evil.torch", "/evil.torch", "a/../../evil.torch"])
def test_no_chunk_outside_of_a_data_set_is_read(smoke_run, tmp_path, name):
    root = shutil.copytree(dataset_root(smoke_run.config.data), tmp_path / "a" / "data")
    evil = (root / "test" / name).resolve() if not name.startswith("/") else tmp_path / "evil.torch"
    shutil.copy(root / "test/000000.torch", evil)
    named = str(evil) if name.startswith("/") else name
    (root / "test/index.json").write_text(json.dumps({"test000000": named}))
    with pytest.raises(
        DataError, match=r"evil\.torch' lies outside of .*: move it into that folder"
    ):
        ChunkScenes(root, "test")


@pytest.mark.parametrize("key", KEYS)
def test_evaluate_writes_scenes_of_any_name_into_its_folder(smoke_run, tmp_path, key, capsys):
    """The key of a scene names the file that keeps its metrics, and its picture."""
    root = shutil.copytree(dataset_root(smoke_run.config.data), tmp_path / "data")
    chunk = root / "test/000000.torch"
    scenes = torch.load(chunk, weights_only=True)[:1]
    torch.save([{**scenes[0], "key": key}], chunk)
    (root / "test/index.json").write_text(json.dumps({key: "000000.torch"}))
    index = root / "evaluation_index_4v.json"
    index.write_text(json.dumps({key: json.loads(index.read_text())["test000000"]}))
    before = set(tmp_path.rglob("*"))
    arguments = ["--weights", smoke_run.folder, "--data", root, "--protocol", "re10k", "--views", 4,
                 "--index", index, "--store", tmp_path / "store"]  # fmt: skip
    assert evaluate.main([str(a) for a in arguments]) == 0
    new = set(tmp_path.rglob("*")) - before
    assert new and all(path.is_relative_to(tmp_path / "store") for path in new)
    (folder,) = (tmp_path / "store/evaluations").iterdir()
    assert [p.name for p in (folder / "pictures").iterdir()] == [f"{file_name(key)}.png"]
    assert not Path("/tmp/evil.json").exists() and not Path("/tmp/evil.png").exists()
    assert f"{folder}" in capsys.readouterr().out


@pytest.mark.parametrize("key", KEYS)
def test_file_names_of_captures_frames_and_scenes_have_no_folder(key):
    """What `write_scene` (frames), `write_trade_off` (captures) and evaluations (scenes) name files by.

    `tests/reconstruction/test_reconstruct.py` has the first one on hostile captures.
    """
    name = file_name(key)
    assert "/" not in name and "\\" not in name and name not in ("", ".", "..")
    assert file_name(name) == name or "~" in name


def test_an_archive_of_arrays_is_not_taken_for_poses(tmp_path):
    """An .npz holds names of files; only a plain array is read."""
    capture = layouts.llff(tmp_path / "capture")
    with (capture / "poses_bounds.npy").open("wb") as file:
        np.savez(file, **{"../../evil": np.zeros(3)})
    with pytest.raises(DataError, match="poses_bounds"):
        read_capture(capture)
    assert not list(tmp_path.rglob("evil*"))
