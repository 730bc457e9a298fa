"""Parts of a capture become one scene without drawing a surface twice."""

from dataclasses import replace

import pytest
import torch

from ilrm.data.procedural.samples import example_capture
from ilrm.errors import ConfigError
from ilrm.reconstruction.inputs import open_capture
from ilrm.reconstruction.merging import merge, reconstruct_parts
from ilrm.reconstruction.predict import reconstruct
from ilrm.reconstruction.view_choice import choose_parts, choose_views
from ilrm.rendering import render


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return example_capture(tmp_path_factory.mktemp("captures") / "room", 64)


@pytest.fixture(scope="module")
def opened(capture):
    return open_capture(capture, "ilrm-small", 4)


def test_the_same_part_twice_is_drawn_once(opened):
    part = opened.reconstruct()
    merged = merge([part, part])
    assert len(merged) == len(part.gaussians)
    torch.testing.assert_close(merged.means.float(), part.world_gaussians.means)


def test_overlapping_parts_share_what_both_see(opened):
    scene = opened.scene
    parts = [
        reconstruct(scene, opened.weights, choose_views(scene, 4, "near", frame), opened.framing)
        for frame in (4, 12)
    ]
    merged = merge(parts)
    assert 0.5 < len(merged) / len(parts[0].gaussians) < 2
    assert len(merged) < sum(len(part.gaussians) for part in parts)


def test_a_capture_in_parts_is_one_scene(capture):
    opened = open_capture(capture, "ilrm-small", 2, everything=True)
    assert len(opened.parts) > 1 and "all 24 frames in" in opened.about
    whole = opened.reconstruct()
    assert list(whole.frames) == list(range(24)) and whole.targets == [4, 12, 20]
    assert whole.batch.inputs.images.shape[1] == len(whole.inputs) > 2
    images = render(whole.gaussians, whole.batch.targets.cameras).images
    error = (images - whole.batch.targets.images).square().mean()
    mean = whole.batch.inputs.images.mean((1, 3, 4))[:, None, :, None, None]
    assert error < 0.7 * (mean - whole.batch.targets.images).square().mean()


def test_a_far_origin_changes_nothing(opened):
    """Coordinates of a survey: millions of metres, of which single precision keeps quarters."""
    scene = opened.scene
    c2w = scene.c2w.double().clone()
    c2w[:, :3, 3] += torch.tensor([4e6, 0.0, 3e6])
    found = []
    for place in (scene, replace(scene, c2w=c2w)):
        parts = choose_parts(place, 2)
        found.append(reconstruct_parts(place, opened.weights, parts, opened.framing).gaussians)
    assert len(found[0]) == pytest.approx(len(found[1]), rel=0.01)
    near, far = (gaussians.means[0].mean(0) for gaussians in found)
    torch.testing.assert_close(near, far, atol=0.02, rtol=0)


def test_there_and_back(opened):
    part = opened.reconstruct()
    there = part.gaussians.to_world(part.batch.normalization)
    back = there.to_scene(part.batch.normalization)
    for name in ("means", "scales"):
        torch.testing.assert_close(
            getattr(back, name), getattr(part.gaussians, name), atol=1e-4, rtol=1e-4
        )


def test_options_that_do_not_go_together(capture):
    with pytest.raises(ConfigError, match="leave out choice and around"):
        open_capture(capture, "ilrm-small", 2, around="3", everything=True)
    with pytest.raises(ConfigError, match="leave out around"):
        open_capture(capture, "ilrm-small", 2, choice="even", around="3")
    with pytest.raises(ConfigError, match="give one of near, kmeans, even"):
        open_capture(capture, "ilrm-small", 2, choice="all")
