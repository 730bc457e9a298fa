"""Scenes of many kinds: cameras are free, and all that is promised to vary does."""

import numpy as np
import pytest
import torch

from ilrm.data.procedural.camera_paths import ORBITS, PATHS
from ilrm.data.procedural.generation import RoomsConfig, render_scene
from ilrm.data.procedural.raytrace import BOX, ROOM_FACES
from ilrm.data.procedural.rooms import room_size
from ilrm.data.procedural.textures import texture_bank
from ilrm.data.procedural.varied import varied

FRAMES = 12


@pytest.fixture(scope="module")
def drawn():
    photographs = texture_bank()[1]
    return [varied(np.random.default_rng([5, i]), FRAMES, photographs) for i in range(120)]


def test_no_camera_is_inside_a_solid_or_outside_of_the_room(drawn):
    for setting in drawn:
        places = setting.c2w[:, :3, 3]
        size = setting.room.size
        assert (np.abs(places[:, [0, 2]]) < size[[0, 2]] / 2 - 0.1).all()
        assert ((places[:, 1] < -0.1) & (places[:, 1] > -size[1] + 0.1)).all()
        for solid in setting.room.solids:
            away = places - solid["centre"]
            x = solid["cos"] * away[:, 0] - solid["sin"] * away[:, 2]
            z = solid["sin"] * away[:, 0] + solid["cos"] * away[:, 2]
            inside = np.abs(np.stack([x, away[:, 1], z], -1)) < solid["half"] + 0.05
            assert not inside.all(-1).any()


def test_every_solid_has_a_material(drawn):
    for setting in drawn:
        assert len(setting.room.materials) == ROOM_FACES + len(setting.room.solids)


def test_poses_are_rotations(drawn):
    for setting in drawn:
        turn = setting.c2w[:, :3, :3]
        np.testing.assert_allclose(
            turn @ turn.transpose(0, 2, 1), np.eye(3)[None].repeat(FRAMES, 0), atol=1e-9
        )
        np.testing.assert_allclose(np.linalg.det(turn), 1)


def test_what_is_promised_to_vary_does(drawn):
    fov = np.degrees(2 * np.arctan(0.5 / np.array([s.focal for s in drawn])))
    assert 20 <= fov.min() < 30 and 65 < fov.max() <= 75
    roll = np.degrees([np.arcsin(abs(s.c2w[0, 1, 0])) for s in drawn])  # of the image's x axis
    assert np.median(roll) < 5 and roll.max() > 45
    widest = np.array([s.room.size.max() for s in drawn])
    assert 0.1 < (widest > 20).mean() < 0.5  # outdoors
    uneven = [s for s in drawn if s.gains is not None]
    assert 0.3 < len(uneven) / len(drawn) < 0.7
    assert all(0.02 < s.gains.std(0).mean() < 0.2 for s in uneven)
    thin = [(s.room.solids["half"].min(-1) < 0.045) & (s.room.solids["kind"] == BOX) for s in drawn]
    assert np.mean([t.any() for t in thin]) > 0.3
    # the largest angle between the viewing directions of two cameras, of each scene
    forward = np.stack([s.c2w[:, :3, 2] for s in drawn])
    turns = np.degrees(np.arccos(np.clip(forward @ forward.transpose(0, 2, 1), -1, 1))).max((1, 2))
    assert (turns < 40).mean() > 0.1 and (turns > 120).mean() > 0.1


def test_images_are_neither_black_nor_white_and_a_scene_is_reproducible():
    config = RoomsConfig(path="varied", frames=12, height=24, width=24, supersample=1)
    first, again = (render_scene(config, "train", 3) for _ in range(2))
    assert all(map(torch.equal, first["images"], again["images"]))
    assert torch.equal(first["cameras"], again["cameras"])
    means = []
    for i in range(12):
        depths = render_scene(config, "test", i)["depths"]
        assert torch.isfinite(depths).all() and (depths > 0.05).all()
        means.append(float(depths.median()))
    assert max(means) > 3 * min(means)


def test_exposure_scales_the_colours_of_a_view(drawn):
    setting = next(s for s in drawn if s.gains is not None)
    grey = np.full((FRAMES, 4, 4, 3), 100, np.uint8)
    np.testing.assert_allclose(setting.exposed(grey)[:, 0, 0], 100 * setting.gains, atol=0.51)
    even = next(s for s in drawn if s.gains is None)
    assert even.exposed(grey) is grey


@pytest.mark.parametrize("degrees", ORBITS)
def test_an_orbit_turns_so_far_and_looks_at_one_place(degrees):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        c2w = PATHS[f"orbit{degrees}"](rng, 24, room_size(rng))
        places, forward = c2w[:, :3, 3], c2w[:, :3, 2]
        # the place nearest to all view rays
        across = np.eye(3) - forward[:, :, None] * forward[:, None]
        target = np.linalg.solve(across.sum(0), (across @ places[..., None]).sum(0))[:, 0]
        away = places - target
        miss = np.linalg.norm(np.cross(away, forward), axis=-1)
        assert miss.max() < 0.2 * np.linalg.norm(away, axis=-1).mean()
        angle = np.unwrap(np.arctan2(away[:, 0], away[:, 2]))
        assert abs(np.degrees(abs(angle[-1] - angle[0])) - degrees) < 0.15 * degrees
