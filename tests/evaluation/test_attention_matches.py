"""True correspondences of scenes whose geometry is known, and the errors of attention that is made up."""

from dataclasses import replace

import pytest
import torch

from ilrm.cameras import Cameras
from ilrm.data.batches import held_out_scenes
from ilrm.errors import DataError
from ilrm.evaluation.attention_matches import (
    attention_errors,
    correspondence_errors,
    true_correspondences,
)


def wall(shift=(0.0, 0.0), depth=2.0):
    """Two cameras that face a wall; the second one stands `shift` (x, y) of it."""
    c2w = torch.eye(4).repeat(2, 1, 1)
    c2w[1, :2, 3] = torch.tensor(shift)
    fxfycxcy = torch.tensor([32.0, 32.0, 16.0, 16.0]).repeat(2, 1)
    return Cameras.from_fxfycxcy(fxfycxcy, c2w, 32, 32), torch.full((2, 32, 32), depth)


def test_a_wall_moves_by_focal_length_times_baseline_over_depth():
    cameras, depths = wall(shift=(0.5, 0.25))  # 32 * 0.5 / 2 = 8 pixels, one token, and half a one
    found = true_correspondences(cameras, depths, side=8)
    places = found.places[:, 0].view(4, 4, 2)
    own = torch.arange(4) + 0.5
    torch.testing.assert_close(places[..., 0], (own - 1).expand(4, 4))
    torch.testing.assert_close(places[..., 1], (own - 0.5)[:, None].expand(4, 4))
    visible = found.visible.view(4, 4)
    assert visible[:, 1:].all() and not visible[:, 0].any()  # the first column leaves the image


def test_what_is_hidden_in_the_other_view_does_not_count():
    cameras, depths = wall(shift=(0.5, 0.0))
    depths[1, :, :16] = 1.0  # something stands before the wall there
    visible = true_correspondences(cameras, depths, side=8).visible.view(4, 4)
    assert visible.tolist() == [[False, False, False, True]] * 4


def test_errors_of_perfect_and_of_random_attention():
    cameras, depths = wall()
    found = true_correspondences(cameras, depths, side=8)
    perfect = torch.zeros(16, 2, 16)
    perfect[range(16), 1, range(16)] = 1.0
    off = torch.zeros(16, 2, 16)
    off[range(16), 1, [(n + 2) % 4 + n // 4 * 4 for n in range(16)]] = 1.0  # two columns away
    table = attention_errors(torch.stack([perfect, off]), found, columns=4)
    assert table.layer.tolist() == [1, 2]
    assert table.distance[0] == pytest.approx(0.0, abs=1e-5) and table.near[0] == 1
    assert table.distance[1] == pytest.approx(2.0) and table.near[1] == 0
    everywhere = torch.tensor(
        [
            ((a // 4 - b // 4) ** 2 + (a % 4 - b % 4) ** 2) ** 0.5
            for a in range(16)
            for b in range(16)
        ]
    )
    assert table.random_distance.tolist() == pytest.approx([float(everywhere.mean())] * 2)
    assert table.random_near[0] == pytest.approx(float((everywhere < 1.5).float().mean()))


def test_places_are_on_the_other_photo(smoke_run):
    """Colours agree at true correspondences of a procedural room far better than at random places."""
    scene = next(iter(held_out_scenes(smoke_run.config.data)))
    inputs = scene.batch.inputs
    found = true_correspondences(inputs.cameras[0], scene.batch.input_depths[0], side=2)
    assert found.visible.float().mean() > 0.2
    here = inputs.images[0, 0, :, 1::2, 1::2].flatten(1).T  # [N, 3]
    number, view = found.visible.nonzero(as_tuple=True)
    x, y = (found.places[number, view] * 2 + 0.5).floor().long().unbind(-1)
    there = inputs.images[0, view + 1, :, y, x]
    error = (here[number] - there).abs().mean()
    shuffled = (here[number] - there[torch.randperm(len(there))]).abs().mean()
    assert error < 0.5 * shuffled


def test_every_scene_and_layer_has_a_row(smoke_run):
    scenes = list(held_out_scenes(smoke_run.config.data))
    table = correspondence_errors(smoke_run.model(), scenes)
    assert table.scene.unique().tolist() == [scene.key for scene in scenes]
    assert len(table) == len(scenes) * smoke_run.config.model.layers
    assert (table.distance > 0).all() and table.near.between(0, 1).all()
    with pytest.raises(DataError, match="no scene has ground-truth depth"):
        correspondence_errors(
            smoke_run.model(),
            [replace(s, batch=replace(s.batch, input_depths=None)) for s in scenes],
        )
