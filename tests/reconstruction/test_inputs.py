"""What the notebooks open: a capture as a scene to look into, a room by its place or by rule."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from ilrm.data.batches import held_out_scenes
from ilrm.data.procedural.samples import example_capture
from ilrm.data.sources.captures import read_capture
from ilrm.errors import ConfigError
from ilrm.reconstruction.inputs import capture_scene, chosen, open_capture


def test_a_capture_is_a_scene_as_it_is_reconstructed(smoke_run, tmp_path):
    folder = example_capture(tmp_path / "room", 32)
    scene = capture_scene(folder, smoke_run.folder, 3, None)
    opened = open_capture(folder, smoke_run.folder, 3)
    found = opened.reconstruct()
    assert scene.key == "room" and scene.frames == tuple(found.targets)
    assert scene.batch.inputs.images.shape[1] == 3
    torch.testing.assert_close(scene.batch.inputs.images, found.batch.inputs.images)
    assert len(read_capture(folder)) == 24
    with pytest.raises(ConfigError, match="views=1: give an integer from 2"):
        capture_scene(folder, smoke_run.folder, 1, None)


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_a_room_that_there_is_not(smoke_run, number):
    scenes = list(held_out_scenes(smoke_run.config.data))
    assert chosen(scenes, 1, pd.DataFrame()) is scenes[1]
    with pytest.raises(ConfigError, match=f"room={number}: there are 2, give a number from 0 to 1"):
        chosen(scenes, number, pd.DataFrame())


def test_without_a_place_it_is_the_median_room(smoke_run):
    """By the last layer; by the first one it would be another."""
    a, b = held_out_scenes(smoke_run.config.data)
    c = replace(a, key="third")
    quality = pd.DataFrame(
        {
            "scene": [a.key, b.key, c.key] * 2,
            "layer": [0] * 3 + [1] * 3,
            "psnr": [1, 9, 5, 12, 11, 10],
        }
    )
    assert chosen([a, b, c], None, quality) is b
