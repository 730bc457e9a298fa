"""Neighbourhoods: what sees the same from similar directions; a capture covered by them; frames by name."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ilrm.data.frames.neighbourhood import (
    Connections,
    LocalCoverage,
    compared,
    connections,
    cover,
    frame_depths,
    frame_number,
    frame_range,
    neighbourhood,
)
from ilrm.data.frames.protocols import PROTOCOLS
from ilrm.data.procedural.generation import RoomsConfig, ensure_dataset
from ilrm.data.scene import PointCloud, Scene
from ilrm.data.sources.chunks import ChunkScenes
from ilrm.errors import ConfigError, TooFewFramesError
from tests.helpers import rotation_about_y


def seen_from(c2w: torch.Tensor, points: torch.Tensor) -> Scene:
    """Frames of 64x64 pixels with a field of view of 60 degrees; images are never decoded."""
    n = len(c2w)
    focal = 32 / math.tan(math.radians(30))
    fxfycxcy = torch.tensor([focal, focal, 32.0, 32.0]).expand(n, 4)
    cloud = PointCloud(points.double(), torch.zeros(len(points), 3))
    names = [f"images/{i:03d}.png" for i in range(n)]
    return Scene("made", fxfycxcy, c2w.double(), [None] * n, [(64, 64)] * n, names, points=cloud)


def orbit(frames: int) -> Scene:
    """Cameras all around a ball of points, 4 units from its centre."""
    turns = torch.arange(frames) * 2 * math.pi / frames
    c2w = torch.eye(4).repeat(frames, 1, 1)
    c2w[:, :3, :3] = rotation_about_y(turns)
    c2w[:, :3, 3] = -4 * c2w[:, :3, 2]
    generator = torch.Generator().manual_seed(0)
    return seen_from(c2w, 0.5 * torch.randn(500, 3, generator=generator))


def pan(degrees: list[float]) -> Scene:
    """One place, turning; points all around, 5 units away."""
    c2w = torch.eye(4).repeat(len(degrees), 1, 1)
    c2w[:, :3, :3] = rotation_about_y(torch.tensor(degrees).deg2rad())
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4000, 3, generator=generator)
    return seen_from(c2w, 5 * torch.nn.functional.normalize(points, dim=-1))


def test_of_a_long_capture_some_frames_are_compared(monkeypatch, capsys):
    """As they were taken; the one that is asked for is among them, and a line says what is left out."""
    scene = orbit(120)
    monkeypatch.setattr("ilrm.data.frames.neighbourhood.MOST", 40)
    assert compared(scene) == list(range(0, 120, 3))
    assert compared(scene, 7) == sorted([*range(0, 120, 3), 7])
    said = "capture made: of its 120 frames, 41 are used, about 1 in 3; reconstruct --frames A:B"
    assert said in capsys.readouterr().out
    inputs, targets = LocalCoverage(3, around=7).frames(scene)
    assert set(inputs) | set(targets) <= {*range(0, 120, 3), 7} and len(inputs) == 3
    apart = [min(abs(f - 7), 120 - abs(f - 7)) for f in inputs + targets]
    assert max(apart) <= 15  # 45 degrees, on either side
    capsys.readouterr()
    monkeypatch.setattr("ilrm.data.frames.neighbourhood.MOST", 120)
    assert compared(scene) == list(range(120)) and capsys.readouterr().out == ""


def test_on_an_orbit_the_angle_bounds_a_neighbourhood():
    scene = orbit(24)  # 15 degrees apart
    found = connections(scene)
    assert found.parallax[0, 2] == pytest.approx(30, abs=1.5)
    assert sorted(found.near(12)) == [10, 11, 12, 13, 14] or sorted(found.near(12)) == [11, 12, 13]
    assert 12 not in found.near(0) and found.near(0)[0] == 0


def test_of_a_turning_camera_overlap_bounds_a_neighbourhood():
    found = connections(pan([0, 10, 20, 40, 80]))
    assert found.parallax.max() < 1
    assert sorted(found.near(0)) == [0, 1, 2]  # at 40 degrees of 60 a third is shared
    assert found.overlap[0, 3] == pytest.approx(1 / 3, abs=0.1) and found.overlap[0, 4] == 0


def test_views_are_chosen_inside_and_some_frames_between_them_held_out():
    scene = orbit(72)
    found = connections(scene)
    part = neighbourhood(scene, 4, found, around=36)
    assert part.centre == 36 and part.frames == sorted(found.near(36))
    assert len(part.inputs) == 4 and set(part.inputs) | set(part.targets) <= set(part.frames)
    assert not set(part.inputs) & set(part.targets)
    assert part.frames[0] < min(part.targets) and max(part.targets) < part.frames[-1]


def test_without_a_frame_it_is_the_one_with_most_neighbours():
    scene = pan([0, 100, 105, 110, 115, 120, 200])
    part = neighbourhood(scene, 8, connections(scene))
    assert part.frames == [1, 2, 3, 4, 5] and part.targets == [3]


def test_few_frames_are_taken_though_they_share_little_and_fewer_are_refused():
    scene = pan([0, 50, 100, 150])
    part = neighbourhood(scene, 8, connections(scene), around=0)
    assert len(part.inputs) == 3 and len(part.targets) == 1
    two = pan([0, 5])
    with pytest.raises(TooFewFramesError, match="need at least 3"):
        neighbourhood(two, 8, connections(two))


def test_a_cover_holds_every_frame_and_holds_the_same_frames_out_everywhere():
    scene = orbit(40)
    parts = cover(scene, 3, connections(scene))
    assert set().union(*(part.frames for part in parts)) == set(range(40))
    inputs = set().union(*(part.inputs for part in parts))
    targets = set().union(*(part.targets for part in parts))
    assert targets == set(range(4, 40, 8)) and not inputs & targets
    assert all(len(part.inputs) >= 2 for part in parts)


def test_depth_without_points_is_that_of_a_plane_on_which_neighbours_agree(tmp_path):
    rooms = RoomsConfig(train_scenes=1, test_scenes=2, frames=24, height=64, width=64)
    scenes = ChunkScenes(ensure_dataset(rooms, tmp_path), "test")
    for key in scenes.keys:
        scene = scenes.load(key)
        true = scene.depths.flatten(1).median(1).values
        ratio = frame_depths(scene).float() / true
        assert 0.5 < ratio.median() < 2


def test_a_camera_that_never_moves_has_a_depth_too():
    scene = replace(pan([0, 5, 10, 15]), points=None)
    still = replace(scene, sources=[_Grey()] * 4)
    assert (frame_depths(still) > 0).all()


class _Grey:
    def open(self):
        from PIL import Image

        return Image.new("RGB", (64, 64), "grey")


def test_frames_by_number_and_name():
    scene = orbit(20)
    assert frame_number(scene, "7") == 7
    assert frame_number(scene, "images/007.png") == frame_number(scene, "007.png") == 7
    assert frame_number(scene, "007") == 7
    for text in ("20", "-1", "nothing.png"):
        with pytest.raises(ConfigError, match="is not a frame of made: give a number from 0 to 19"):
            frame_number(scene, text)
    twice = replace(scene, names=[*scene.names[:-1], "other/007.png"])
    with pytest.raises(ConfigError, match="is the name of 2 frames"):
        frame_number(twice, "007.png")


def test_ranges_of_frames():
    scene = orbit(20)
    assert frame_range(scene, "5:12").names == scene.names[5:12]
    assert frame_range(scene, ":4").names == scene.names[:4]
    assert frame_range(scene, "-4:").names == scene.names[-4:]
    for text in ("5", "5:7", "9:3", "a:b", "5:9:2"):
        with pytest.raises(ConfigError, match="give A:B, at least 3 of the 20 frames"):
            frame_range(scene, text)


def test_connections_are_symmetric_where_frames_are_asked_for():
    found = Connections(np.array([[1.0, 0.9], [0.2, 1.0]]), np.zeros((2, 2)))
    assert list(found.near(0)) == [0] and list(found.near(1)) == [1]


def test_captures_near_is_a_protocol():
    selection = PROTOCOLS["captures-near"].selection(None, 3)
    scene = orbit(40)
    inputs, targets = selection.frames(scene)
    found = connections(scene)
    part = neighbourhood(scene, 3, found)
    assert (inputs, targets) == (part.inputs, part.targets)
    spread, _ = PROTOCOLS["captures"].selection(None, 3).frames(scene)
    widest = [found.parallax[views[0], views].max() for views in (inputs, spread)]
    assert widest[0] < 60 < widest[1]
