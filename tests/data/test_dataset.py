import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

from ilrm.data.dataset import ViewsDataset, example
from ilrm.data.frames.training_windows import WindowSchedule
from ilrm.data.framing import Framing
from ilrm.data.procedural.generation import RoomsConfig, generate
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import ConfigError, DataError, EmptyDatasetError

WINDOW = WindowSchedule((8, 11), (8, 11), 1)


def dataset(rooms, **changes):
    options = {"context_views": 3, "target_views": 4, "schedule": WINDOW} | changes
    return ViewsDataset(
        ChunkScenes(rooms, "train"), Framing(24, 24), options.pop("batch_size", 6), **options
    )


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_batch(rooms):
    batch = dataset(rooms, input_targets=1).batch(0)
    for name, views in (("context", 3), ("target", 5)):
        assert batch[f"{name}_images"].shape == (6, views, 3, 24, 24)
        assert batch[f"{name}_fxfycxcy"].shape == (6, views, 4)
        assert batch[f"{name}_c2w"].shape == (6, views, 4, 4)
    assert 0 <= batch["context_images"].min() < batch["context_images"].max() <= 1
    same = (batch["target_c2w"][:, -1:] == batch["context_c2w"]).all(-1).all(-1)
    assert (same.sum(1) == 1).all()  # the extra target is one of the inputs


def test_steps_are_reproducible_in_any_order(rooms):
    one, two = dataset(rooms), dataset(rooms)
    for step in (0, 5, 2):
        assert_same(one.batch(step), two.batch(step))
    assert not torch.equal(one.batch(0)["context_images"], one.batch(1)["context_images"])
    other = dataset(rooms, seed=1).batch(0)
    assert not torch.equal(one.batch(0)["context_images"], other["context_images"])


def test_frames_may_be_kept_on_another_device(rooms):
    """Only they move: cameras and windows are the CPU's. Tensors without data stand in for a GPU's."""
    here, there = dataset(rooms), dataset(rooms)
    there.keep_on(torch.device("meta"))
    assert there.frames["images"].is_meta
    (moved,) = there.loader(range(1, 2))
    stayed = here.batch(1)
    for name, value in moved.items():
        assert value.is_meta == name.endswith("images") and value.shape == stayed[name].shape
        assert value.is_meta or torch.equal(value, stayed[name])
    on_demand = dataset(rooms, memory_budget=0)
    on_demand.keep_on(torch.device("meta"))
    assert_same(on_demand.batch(1), stayed)


def test_processes_share_a_batch(rooms):
    data = dataset(rooms)
    parts = [data.batch(3, rank, 2) for rank in range(2)]
    assert_same({k: torch.cat([p[k] for p in parts]) for k in parts[0]}, data.batch(3))
    with pytest.raises(ConfigError, match="shared by 4 processes"):
        data.batch(0, 0, 4)


@pytest.mark.parametrize("workers", [0, 1])
def test_decoding_on_demand_gives_the_same_views(rooms, workers):
    """One chunk, so both ways shuffle a single group; the loader keeps the order of steps."""
    memory, demand = dataset(rooms), dataset(rooms, memory_budget=0)
    assert (memory.in_memory, demand.in_memory) == (True, False)
    demand._shuffle = memory._shuffle
    if workers:
        del demand._shuffle
        for step, batch in zip((4, 5), demand.loader(range(4, 6), workers=1), strict=True):
            assert_same(batch, demand.batch(step))
    else:
        assert_same(demand.batch(7), memory.batch(7))


@pytest.mark.parametrize("memory_budget", [0, 1 << 31])
def test_a_bad_scene_stops_training_with_one_line(rooms, memory_budget, tmp_path):
    """Also one that a worker process meets."""
    shutil.copytree(rooms, tmp_path / "rooms")
    (chunk,) = (tmp_path / "rooms/train").glob("*.torch")
    scenes = torch.load(chunk, weights_only=True)
    for i, image in enumerate(scenes[1]["images"]):
        scenes[1]["images"][i] = image[:99].clone()
    torch.save(scenes, chunk)
    scenes[1]["images"][0] = scenes[0]["images"][0]  # which its size is read from
    torch.save(scenes, chunk)
    key = scenes[1]["key"]
    with pytest.raises(DataError) as caught:
        list(dataset(tmp_path / "rooms", memory_budget=memory_budget).loader(range(3), workers=1))
    assert re.fullmatch(
        rf".*000000\.torch, scene {key}, frame \d+: its image data of 99 bytes .*; training stops at scene "
        rf"{key}: fix it, or remove it from .*/rooms/train",
        str(caught.value),
    )


def test_flip_mirrors_half_of_the_samples(rooms):
    plain, flipped = dataset(rooms, flip=False), dataset(rooms)
    mirrored = 0
    for step in range(20):
        a, b = plain.batch(step), flipped.batch(step)
        for i in range(6):
            if torch.equal(a["target_images"][i], b["target_images"][i]):
                assert torch.equal(a["target_c2w"][i], b["target_c2w"][i])
            else:
                mirrored += 1
                assert torch.equal(a["target_images"][i], b["target_images"][i].flip(-1))
                assert torch.equal(a["target_c2w"][i, :, 0, 3], -b["target_c2w"][i, :, 0, 3])
    assert 40 < mirrored < 80


@pytest.fixture
def odd(rooms, tmp_path):
    """The training scenes with a wide-angle first scene and a short second one."""
    split = shutil.copytree(rooms / "train", tmp_path / "train")
    scenes = torch.load(split / "000000.torch", weights_only=True)
    scenes[0]["cameras"][:, 0] = 0.2
    scenes[1] |= {"cameras": scenes[1]["cameras"][:4], "images": scenes[1]["images"][:4]}
    torch.save(scenes, split / "000000.torch")
    return tmp_path


@pytest.mark.parametrize("memory_budget", [0, 1 << 30])
def test_skipped_scenes_are_counted_and_said(odd, memory_budget, capsys):
    data = dataset(odd, memory_budget=memory_budget)
    data.batch(0)
    assert data.scenes.skipped == {
        "train000000": "field of view 136 degrees > 100",
        "train000001": "4 frames, but 7 are needed",
    }
    assert "(2 so far)" in capsys.readouterr().out
    index = odd / "train" / "index.json"
    files = json.loads(index.read_text())
    index.write_text(json.dumps({k: files[k] for k in ("train000000", "train000001")}))
    with pytest.raises(EmptyDatasetError, match="all 2 scenes were skipped"):
        dataset(odd, memory_budget=memory_budget).batch(0)


def test_example(rooms):
    scene = ChunkScenes(rooms, "test").load("test000001")
    views = example(scene, [0, 11], [5], Framing(16, 16))
    assert views["context_images"].shape == (1, 2, 3, 16, 16)
    torch.testing.assert_close(views["target_c2w"][0, 0], scene.c2w[5])
    with pytest.raises(DataError, match="12 frames, the index asks for frame 12"):
        example(scene, [0, 12], [5], Framing(16, 16))


@pytest.mark.parametrize("memory_budget", [2 << 30, 0], ids=["in memory", "on demand"])
def test_depths_follow_their_frames(tmp_path, memory_budget):
    """Mirrored with the images; refused where the scenes do not know them."""
    config = RoomsConfig(3, 1, 12, 24, 24, supersample=1, train_depths=True)
    root = generate(tmp_path / "rooms", config)
    data = dataset(root, depths=True, memory_budget=memory_budget)
    scenes = {key: ChunkScenes(root, "train").load(key) for key in ChunkScenes(root, "train").keys}
    batch = data.batch(0)
    assert batch["context_depths"].shape == (6, 3, 24, 24)
    stored = torch.cat([scene.depths for scene in scenes.values()])
    mirrored = 0
    for depths in batch["context_depths"].flatten(0, 1):
        same, flipped = ((stored == d).all(-1).all(-1).any() for d in (depths, depths.flip(-1)))
        assert same or flipped
        mirrored += int(not same)
    assert 0 < mirrored < 18
    without = generate(tmp_path / "plain", replace(config, train_depths=False))
    with pytest.raises(ConfigError, match="no ground-truth depth at 24x24: set depth_weight=0"):
        dataset(without, depths=True, memory_budget=memory_budget).batch(0)
