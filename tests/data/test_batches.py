"""From a data configuration to batches: normalised cameras, depth beside the targets, clear errors."""

import json
import shutil
import weakref
from dataclasses import replace

import pytest
import torch

from ilrm.cameras import mean_pose
from ilrm.data.batches import (
    dataset_root,
    held_out_scenes,
    to_batch,
    training_data,
    validation_batches,
)
from ilrm.errors import DataError, EmptyDatasetError
from ilrm.presets import run_config


def smoke_data(**fields):
    return run_config("smoke", **fields).data


def test_training_batches_depend_on_the_step_and_are_normalised():
    data = training_data(smoke_data(), batch_size=3, seed=0)
    batch, again, other = data.batch(5), data.batch(5), data.batch(6)
    assert torch.equal(batch.inputs.images, again.inputs.images)
    assert not torch.equal(batch.inputs.images, other.inputs.images)
    assert batch.inputs.images.shape == (3, 4, 3, 32, 32)
    assert batch.targets.images.shape[:2] == (3, smoke_data().target_views)
    mean = mean_pose(batch.inputs.cameras.c2w)
    torch.testing.assert_close(mean, torch.eye(4).expand(3, 4, 4), atol=1e-4, rtol=0)


def test_frames_are_decoded_once_while_they_are_held():
    first = training_data(smoke_data(), batch_size=2, seed=0)
    other = training_data(smoke_data(), batch_size=3, seed=1)
    assert other.dataset.frames["images"] is first.dataset.frames["images"]
    assert other.batch(0).inputs.images.shape[0] == 3
    frames = weakref.ref(first.dataset.frames["images"])
    expected = other.batch(4).inputs.images
    del first, other
    assert frames() is None
    again = training_data(smoke_data(), batch_size=3, seed=1)
    assert torch.equal(again.batch(4).inputs.images, expected)


def test_batches_in_order_are_those_of_their_steps():
    data = training_data(smoke_data(), batch_size=2, seed=0)
    for step, batch in zip(range(3, 6), data.batches(range(3, 6)), strict=True):
        assert torch.equal(batch.inputs.images, data.batch(step).inputs.images)


def test_processes_share_the_batch_of_one():
    data = training_data(smoke_data(), batch_size=4, seed=0)
    parts = [data.batch(2, rank, 2).inputs.images for rank in range(2)]
    assert torch.equal(torch.cat(parts), data.batch(2).inputs.images)


def test_held_out_scenes_come_with_the_depth_of_their_targets():
    scenes = held_out_scenes(smoke_data())
    first = next(iter(scenes))
    assert first.depths is not None
    assert first.depths.shape == (len(first.frames), 32, 32)
    stored = scenes.stored.load(first.key)
    assert stored.depths is not None
    spreads = [
        (c2w[0, :3, 3] - c2w[-1, :3, 3]).norm()
        for c2w in (stored.c2w[[0, 23]], first.batch.inputs.cameras.c2w[0])
    ]
    expected = stored.depths[list(first.frames)] * spreads[1] / spreads[0]
    torch.testing.assert_close(first.depths, expected, rtol=1e-4, atol=0)
    again = scenes.load(first.key)
    assert torch.equal(again.batch.targets.images, first.batch.targets.images)
    (batch,) = validation_batches(scenes)
    assert len(batch.inputs.images) == 2


def test_an_index_given_by_path_is_grown_to_the_number_of_views():
    index = dataset_root(smoke_data()) / "evaluation_index_2v.json"
    scenes = held_out_scenes(smoke_data(evaluation_index=str(index), context_views=5))
    first = next(iter(scenes))
    assert first.batch.inputs.images.shape[:2] == (1, 5)
    assert len(set(first.frames)) == len(first.frames)


def test_procedural_scenes_are_evaluated_with_any_number_of_views():
    """As by the study of more views than in training."""
    data = smoke_data(procedural_frames=24)
    few, many = (
        held_out_scenes(replace(data, context_views=v)).load("test000000") for v in (8, 10)
    )
    assert few.batch.inputs.images.shape[1] == 8 and many.batch.inputs.images.shape[1] == 10
    assert few.frames == many.frames


def test_fewer_rays_per_pixel_draw_the_same_scenes_more_roughly():
    usual, few = smoke_data(), smoke_data(procedural_supersample=1)
    assert dataset_root(few) != dataset_root(usual) and few.held_out_hash != usual.held_out_hash
    a, b = (next(iter(held_out_scenes(data))).batch.inputs for data in (usual, few))
    assert torch.equal(a.cameras.c2w, b.cameras.c2w)
    assert 0 < (a.images - b.images).abs().mean() < 0.05


def test_images_of_another_size_have_no_depth_to_compare_with():
    scenes = held_out_scenes(smoke_data(root=str(dataset_root(smoke_data())), image_height=24))
    assert next(iter(scenes)).depths is None


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        held_out_scenes(smoke_data(root=str(tmp_path)))


def test_files_that_change_between_two_runs_in_one_process_are_read_again(tmp_path):
    """As in a notebook that is run again after its index, or its training scenes, were edited."""
    root = tmp_path / "data"
    shutil.copytree(dataset_root(smoke_data()), root)
    data = smoke_data(root=str(root))
    first = held_out_scenes(data)
    assert held_out_scenes(data) is first
    index = root / "evaluation_index_4v.json"
    entries = json.loads(index.read_text())
    entries.pop(first.keys[0])
    index.write_text(json.dumps(entries))
    assert held_out_scenes(data).keys == first.keys[1:]
    training = training_data(data, 2, 0)
    path = root / "train/index.json"
    scenes = json.loads(path.read_text())
    scenes.pop(next(iter(scenes)))
    path.write_text(json.dumps(scenes))
    assert len(training_data(data, 2, 0).dataset.keys) == len(training.dataset.keys) - 1


def test_an_index_with_nothing_to_evaluate_is_refused(tmp_path):
    (tmp_path / "evaluation_index_4v.json").write_text('{"a": null}')
    with pytest.raises(EmptyDatasetError, match="none to evaluate"):
        held_out_scenes(smoke_data(root=str(tmp_path)))


def test_cameras_that_are_not_finite_never_become_a_batch():
    data = training_data(smoke_data(), batch_size=1, seed=0)
    views = data.dataset.batch(0)
    views["target_c2w"][0, 0, 0, 3] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        to_batch(views)
