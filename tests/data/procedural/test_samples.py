"""The room that is written as a capture: the one of the data set, drawn alone."""

import numpy as np
from PIL import Image

from ilrm.data.framing import Framing
from ilrm.data.procedural.generation import RoomsConfig, generate
from ilrm.data.procedural.samples import example_capture
from ilrm.data.sources.captures import read_capture
from ilrm.data.sources.chunks import ChunkScenes


def test_it_is_the_first_held_out_room_and_nothing_else_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("ILRM_CACHE", str(tmp_path / "cache"))
    capture = read_capture(example_capture(tmp_path / "room", 32))
    assert not (tmp_path / "cache").exists()
    root = generate(tmp_path / "rooms", RoomsConfig(train_scenes=1, test_scenes=1), 1)
    scenes = ChunkScenes(root, "test")
    scene = scenes.load(scenes.keys[0])
    images, fxfycxcy = scene.decode(range(len(scene)), Framing(32, 32))
    np.testing.assert_allclose(capture.c2w, scene.c2w, atol=1e-5)
    np.testing.assert_allclose(capture.fxfycxcy, fxfycxcy, rtol=1e-6)
    names = sorted((tmp_path / "room" / "images").iterdir())
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(name)), image.permute(1, 2, 0))


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "room").mkdir()
    assert not list(example_capture(tmp_path / "room").iterdir())
