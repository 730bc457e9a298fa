import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ilrm.data.procedural import generation as procedural
from ilrm.data.procedural.camera_paths import PATHS
from ilrm.data.procedural.generation import (
    RoomsConfig,
    ensure_dataset,
    ensure_index,
    evaluation_index,
    generate,
)
from ilrm.data.procedural.raytrace import render_room
from ilrm.data.procedural.rooms import random_room, room_size
from ilrm.data.procedural.textures import texture_bank
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import ConfigError, DataError
from tests.data.conftest import SMALL


def contents(root):
    files = (f for f in root.rglob("*") if f.is_file() and f.name != procedural.LOCK)
    return {str(f.relative_to(root)): f.read_bytes() for f in files}


def test_bytes_do_not_depend_on_workers(rooms, tmp_path):
    assert contents(generate(tmp_path / "two", SMALL, workers=2)) == contents(rooms)


def test_a_scene_does_not_depend_on_the_number_of_scenes(rooms):
    scene = procedural.render_scene(replace(SMALL, train_scenes=100), "train", 2)
    stored = torch.load(rooms / "train" / "000000.torch", weights_only=True)[2]
    assert scene["key"] == stored["key"]
    assert torch.equal(scene["cameras"], stored["cameras"])
    assert all(map(torch.equal, scene["images"], stored["images"]))


def test_resumes_after_kill(tmp_path):
    """A generation killed between chunks keeps its whole chunks and ends with the same bytes."""
    config = replace(SMALL, train_scenes=200, height=16, width=16, supersample=1)
    root = tmp_path / "killed"
    arguments = "--train-scenes 200 --test-scenes 2 --frames 12 --size 16 16 --supersample 1"
    command = [sys.executable, "-m", "ilrm.data.procedural", str(root), *arguments.split()]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    first = root / "train" / "000000.torch"
    while not first.is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads((root / "dataset.json").read_text())["complete"] is False
    (root / "train" / ".left_over.torch").write_bytes(b"half a chunk")
    written = first.stat().st_mtime_ns
    generate(root, config)
    assert first.stat().st_mtime_ns == written  # kept, not made again
    assert contents(root) == contents(generate(tmp_path / "whole", config))


def test_complete_folder_returns_at_once(rooms, monkeypatch):
    monkeypatch.setattr(procedural, "render_scene", lambda *_: pytest.fail("rendered again"))
    assert generate(rooms, SMALL) == rooms


def test_other_parameters_are_refused(rooms, tmp_path):
    with pytest.raises(ConfigError, match="other seed: choose another folder"):
        generate(rooms, replace(SMALL, seed=1))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        generate(tmp_path, SMALL)


@pytest.mark.parametrize("wrong", [{"frames": 11}, {"path": "walk"}, {"height": 0}, {"seed": -1}])
def test_config_errors_name_the_field(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RoomsConfig(**wrong)


def test_full_disk_is_said_before_rendering(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match="MB are free"):
        generate(tmp_path / "full", SMALL)


def test_missing_photographs_are_named(monkeypatch):
    texture_bank.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install scikit-image"):
        texture_bank()


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ILRM_CACHE", str(tmp_path))
    tiny = replace(SMALL, train_scenes=1, test_scenes=1, supersample=1)
    root = ensure_dataset(tiny)
    assert root.parent == tmp_path
    assert ensure_dataset(tiny) == root != ensure_dataset(replace(tiny, seed=1))


def test_folder_follows_the_format(rooms):
    raw = torch.load(rooms / "test" / "000000.torch", weights_only=True)[0]
    assert raw["timestamps"].dtype == torch.int64
    assert raw["cameras"].shape == (12, 18)
    assert raw["cameras"].dtype == torch.float32
    assert raw["depths"].shape == (12, 24, 32)
    assert all(image.dtype == torch.uint8 and image.ndim == 1 for image in raw["images"])
    assert "depths" not in torch.load(rooms / "train" / "000000.torch", weights_only=True)[0]
    targets = []
    for views in (2, 4, 8):
        index = json.loads((rooms / f"evaluation_index_{views}v.json").read_text())
        assert list(index) == ["test000000", "test000001"]
        entry = index["test000000"]
        assert len(entry["context"]) == views
        assert not set(entry["context"]) & set(entry["target"])
        targets.append(entry["target"])
    assert targets[0] == targets[1] == targets[2]


@pytest.mark.parametrize(
    ("views", "fewer"), [(3, 2), (5, 4), (6, 4), (7, 4), (10, 8), (12, 8), (18, 8)]
)
def test_more_inputs_contain_the_fewer_and_no_target(views, fewer):
    """12 evenly spread frames of 24 have some of the targets among them, and leave gaps where 8 have none."""
    config = RoomsConfig(frames=24, test_scenes=5)
    start = evaluation_index(config, fewer)
    for scene, entry in evaluation_index(config, views).items():
        context = entry["context"]
        assert len(set(context)) == views and set(context) >= set(start[scene]["context"])
        assert not set(context) & set(entry["target"])
        assert entry["target"] == start[scene]["target"]


def test_added_inputs_fill_the_widest_gaps():
    """A new one is at least two frames from all others, as long as there are such frames."""
    config = RoomsConfig(frames=32, test_scenes=8)
    for views in (3, 5, 6, 7):
        for entry in evaluation_index(config, views).values():
            assert np.diff(entry["context"]).min() >= 2
    for entry in evaluation_index(RoomsConfig(frames=24, test_scenes=8), 12).values():
        added = sorted(set(entry["context"]) - {0, 3, 7, 10, 13, 16, 20, 23})
        assert len(added) == 4 and added[-1] - added[0] > 8  # not all in one part of the path


def test_too_many_inputs_are_refused():
    config = RoomsConfig(frames=24, test_scenes=5)
    with pytest.raises(
        ConfigError, match="19 input views: these scenes have 18 frames that are not"
    ):
        evaluation_index(config, 19)


def test_an_index_of_an_earlier_version_is_written_again(tmp_path):
    config = RoomsConfig(test_scenes=1)
    (tmp_path / "evaluation_index_10v.json").write_text(
        '{"test000000": {"context": [], "target": []}}'
    )
    path = ensure_index(tmp_path, config, 10)
    assert json.loads(path.read_text()) == evaluation_index(config, 10)
    written = path.stat().st_mtime_ns
    assert ensure_index(tmp_path, config, 10).stat().st_mtime_ns == written  # a current one is kept


def bilinear(image, x, y):
    """image [H, W, C] at pixel positions x, y [P] (pixel centres at + 0.5)."""
    grid = torch.stack([2 * x / image.shape[1] - 1, 2 * y / image.shape[0] - 1], -1)[None, None]
    sampled = torch.nn.functional.grid_sample(
        image.permute(2, 0, 1)[None], grid.to(image.dtype), align_corners=False
    )
    return sampled[0, :, 0].T  # [P, C]


@pytest.mark.parametrize("path", list(PATHS))
def test_depth_reprojects_one_frame_onto_another(path):
    """Points of frame i, placed by its depth and pose, have frame j's depth and colour where seen."""
    frames = 48 if path == "orbit330" else SMALL.frames  # else neighbours are 30 degrees apart
    config = replace(SMALL, path=path, height=96, width=96, frames=frames)
    scene = procedural.render_scene(config, "test", 0)
    cameras = scene["cameras"].double()
    images = [torch.from_numpy(decode(jpeg)).double() / 255 for jpeg in scene["images"]]
    depths = scene["depths"].double()
    f, size = cameras[0, 0] * 96, 96
    w2c = cameras[:, 6:].reshape(-1, 3, 4)
    v, u = torch.meshgrid(*2 * [torch.arange(96).double() + 0.5], indexing="ij")
    rays = torch.stack([(u - 48) / f, (v - 48) / f, torch.ones_like(u)], -1).reshape(-1, 3)
    i, j = 3, 4
    local = rays * depths[i].reshape(-1, 1)
    world = (local - w2c[i, :, 3]) @ w2c[i, :, :3]
    seen = world @ w2c[j, :, :3].T + w2c[j, :, 3]
    x, y = (seen[:, :2] / seen[:, 2:] * f + 48).T
    inside = (seen[:, 2] > 0) & (x > 1) & (x < size - 1) & (y > 1) & (y < size - 1)
    z = bilinear(depths[j][..., None], x, y)[:, 0]
    visible = inside & ((z - seen[:, 2]).abs() < 0.01 * seen[:, 2])
    assert visible.sum() > 0.8 * inside.sum() > 0
    error = (bilinear(images[j], x, y) - images[i].reshape(-1, 3)).abs()[visible]
    shifted = (images[j].reshape(-1, 3) - images[i].reshape(-1, 3)).abs()[visible]
    assert error.mean() < 0.03
    assert error.mean() < 0.5 * shifted.mean()


def decode(jpeg):
    import io

    from PIL import Image

    return np.array(Image.open(io.BytesIO(jpeg.numpy().tobytes())))


def test_depth_of_an_empty_room_is_exact():
    rng = np.random.default_rng(0)
    size = np.array([6.0, 3.0, 5.0])
    room = random_room(rng, size, PATHS["re10k"](rng, 12, size), texture_bank()[1])
    c2w = np.eye(4)[None].copy()
    c2w[0, 1, 3] = -1.5
    _, depth = render_room(
        texture_bank()[0], size, room.solids[:0], room.materials, room.light, c2w,
        np.array([8.0, 8.0, 8.0, 8.0]), 16, 16, 1, True,
    )  # fmt: skip
    slope = (np.arange(16) + 0.5 - 8) / 8
    side = np.minimum(3.0 / np.abs(slope)[None], 1.5 / np.abs(slope)[:, None])
    np.testing.assert_allclose(depth[0], np.minimum(side, 2.5), rtol=1e-6)


@pytest.mark.parametrize("path", list(PATHS))
def test_paths_keep_the_regularities_of_real_rooms(path):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = room_size(rng)
        c2w = PATHS[path](rng, 24, size)
        np.testing.assert_allclose(
            c2w[:, :3, :3] @ c2w[:, :3, :3].transpose(0, 2, 1),
            np.eye(3)[None].repeat(24, 0),
            atol=1e-9,
        )
        np.testing.assert_allclose(np.linalg.det(c2w[:, :3, :3]), 1)
        eye = -c2w[:, 1, 3]
        assert ((eye > 1.1) & (eye < 1.85)).all()
        assert (np.abs(c2w[:, [0, 2], 3]) < size[[0, 2]] / 2 - 0.5).all()
        assert np.abs(c2w[:, 1, 0]).max() < 0.02  # level horizon
        if not path.startswith("orbit"):  # which look down at what is in the middle
            assert np.abs(np.arcsin(c2w[:, 1, 2])).max() < 0.4  # small pitch
        steps = np.linalg.norm(np.diff(c2w[:, :3, 3], axis=0), axis=1)
        assert steps.max() < 3 * np.median(steps)  # smooth


def test_mixed_paths_are_tours_in_one_scene_of_four():
    turns = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        forward = PATHS["mixed"](rng, 24, room_size(rng))[:, :3, 2]
        turns.append((forward @ forward.T).min() < np.cos(np.radians(120)))
    assert 0.15 < np.mean(turns) < 0.35


def test_cameras_are_outside_of_solids_and_things_are_near(rooms):
    scenes = ChunkScenes(rooms, "test")
    depths = torch.stack([scenes.load(key).depths for key in scenes.keys])
    assert depths.min() > 0.2
    assert 1 < depths.median() < 5


def test_command_line_says_what_is_wrong(tmp_path):
    command = [sys.executable, "-m", "ilrm.data.procedural", str(tmp_path / "x"), "--frames", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2
    assert "frames = 3" in done.stderr


def test_depth_of_training_scenes_is_kept_on_request_only(rooms, tmp_path):
    """The images' bytes and the name of the data set without depths stay as they are."""
    assert "depths" not in torch.load(rooms / "train/000000.torch", weights_only=True)[0]
    assert "train_depths" not in json.loads((rooms / "dataset.json").read_text())
    root = generate(tmp_path, replace(SMALL, train_depths=True))
    for split in ("train", "test"):
        with_depths = torch.load(root / split / "000000.torch", weights_only=True)
        without = torch.load(rooms / split / "000000.torch", weights_only=True)
        for a, b in zip(with_depths, without, strict=True):
            assert a["depths"].shape == (SMALL.frames, SMALL.height, SMALL.width)
            assert all(map(torch.equal, a["images"], b["images"]))
    assert replace(SMALL, train_depths=True).recorded() != SMALL.recorded()


def test_arcs_turn_by_57_to_115_degrees_and_see_the_same_things():
    rng = np.random.default_rng(0)
    turns = []
    for _ in range(50):
        c2w = PATHS["arc"](rng, 24, room_size(rng))
        centre = c2w[:, [0, 2], 3]
        angles = np.unwrap(np.arctan2(centre[:, 0], centre[:, 1]))
        turns.append(abs(angles[-1] - angles[0]))
    # angles around an ellipse: its axes differ by a factor of two at most
    assert min(turns) > 0.5 and max(turns) < 2.6 and 1.2 < np.mean(turns) < 1.8
