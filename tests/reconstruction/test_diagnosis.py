"""What is wrong with a capture is found, named by frame, and nothing is said of one that is in order."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ilrm.cameras import Cameras
from ilrm.data.framing import Framing
from ilrm.data.procedural.samples import example_capture
from ilrm.data.sources.captures import read_capture
from ilrm.reconstruction import feature_matching as matching
from ilrm.reconstruction.diagnosis import diagnose
from ilrm.reconstruction.feature_matching import epipolar_distance, match
from ilrm.reconstruction.predict import framing_of, reconstruct
from ilrm.reconstruction.view_choice import choose_views
from ilrm.weights.spread import Spread, SpreadRow
from ilrm.weights.state import read_weights
from ilrm.weights.training_ranges import TrainingRanges
from tests.helpers import rotation_about_y

GOOD = {"model": {"psnr": {"mean": 25.0}}, "nearest_view": {"psnr": {"mean": 18.0}}}
SEEN = TrainingRanges(views=(4, 4), rotation=(0.0, 120.0), fov=(50.0, 70.0), depth=(0.3, 12.0))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A procedural room of 192x192 pixels: large enough to match."""
    folder = tmp_path_factory.mktemp("captures") / "room"
    return read_capture(example_capture(folder, 192))


@pytest.fixture(scope="module")
def weights(smoke_run):
    return replace(read_weights(smoke_run.folder), seen=SEEN)


def lines(scene, weights, summary=GOOD, views=4):
    found = reconstruct(
        scene, weights, choose_views(scene, views, "even"), framing_of(scene, weights)
    )
    return diagnose(found, weights, summary, show_progress=False)


def turned(scene, frame, degrees):
    """The scene with one frame's pose turned about its vertical axis."""
    c2w = scene.c2w.clone()
    c2w[frame, :3, :3] = c2w[frame, :3, :3] @ rotation_about_y(
        torch.tensor(np.radians(degrees))
    ).to(c2w)
    return replace(scene, c2w=c2w)


def test_nothing_is_said_of_a_capture_in_order(scene, weights):
    diagnosis = lines(scene, weights)
    assert diagnosis.findings == []
    measured = diagnosis.measured
    assert measured["epipolar_error_pixels"] < 0.5 and measured["matched_pairs"] >= 3
    low, median, high = measured["depth_in_input_extents"]
    assert 0 < low < median < high


def test_depth_is_the_true_one(scene, weights):
    """The triangulated points lie where the room's walls are: the cameras' unit is that of the poses."""
    images, fxfycxcy = scene.frames([0, 8, 16], Framing(192, 192))
    pairs = match(
        images, Cameras.from_fxfycxcy(fxfycxcy, scene.c2w[[0, 8, 16]].float(), 192, 192), False
    )
    depths = np.concatenate([pair.depths for pair in pairs])
    assert (depths > 0).mean() > 0.95 and 1.0 < np.median(depths) < 8.0  # metres, in a room


def test_a_wrong_pose_is_named(scene, weights):
    found = reconstruct(scene, weights, choose_views(scene, 4, "even"), framing_of(scene, weights))
    frame = found.inputs[1]
    (line,) = lines(turned(scene, frame, 5.0), weights).findings
    assert line.startswith("the poses contradict the images: matches of ")
    assert (
        scene.names[frame] in line
        and "estimate the poses again, unless the scene is repetitive" in line
    )


def test_the_tolerance_is_a_pixel_of_a_256_pixel_image(scene, weights):
    """Turned by half a degree, matches are off by more than that, and by less than twice that."""
    found = reconstruct(scene, weights, choose_views(scene, 4, "even"), framing_of(scene, weights))
    frame = found.inputs[1]
    pitch = scene.c2w.clone()
    turn = rotation_about_y(torch.tensor(np.radians(0.5))).to(pitch)
    about_x = turn[[1, 0, 2]][:, [1, 0, 2]].T  # the same turn about the x axis
    pitch[frame, :3, :3] = pitch[frame, :3, :3] @ about_x
    diagnosis = lines(replace(scene, c2w=pitch), weights)
    (line,) = diagnosis.findings
    assert scene.names[frame] in line
    pixels = float(line.split(" pixels (median")[0].split()[-1])
    assert 192 / 256 < pixels < 2 * 192 / 256


def test_views_that_face_apart_are_not_matched():
    c2w = torch.eye(4).repeat(3, 1, 1)
    c2w[:, :3, :3] = rotation_about_y(torch.deg2rad(torch.tensor([0.0, 50.0, 75.0])))
    c2w[:, 0, 3] = torch.arange(3.0)
    assert matching._pairs(c2w) == [(0, 1), (1, 2)]


def test_cameras_in_one_place_are_said(scene, weights):
    c2w = scene.c2w.clone()
    c2w[:, :3, 3] = c2w[0, :3, 3]
    (line,) = lines(replace(scene, c2w=c2w), weights).findings
    assert line.startswith("all input cameras have the same position")


def test_inputs_without_overlap_are_named(scene, weights):
    blank = replace(scene, sources=[Blank() if i == 1 else s for i, s in enumerate(scene.sources)])
    (line,) = lines(blank, weights).findings
    assert line.startswith(
        f"fewer than 20 points of {scene.names[1]} match another input view: no overlap"
    )


class Blank:
    def open(self):
        return Image.new("RGB", (192, 192), (90, 90, 90))


@pytest.mark.parametrize(
    ("seen", "views", "start"),
    [
        ({"views": (2, 3)}, 4, "4 input views, but the weights were trained with 2 to 3"),
        ({"views": (6, 6)}, 4, "4 input views, but the weights were trained with 6: try --views 6"),
        ({"fov": (20.0, 30.0)}, 4, "the vertical field of view is"),
        ({"fov": (150.0, 160.0)}, 4, "the vertical field of view is"),
        ({"depth": (30.0, 40.0)}, 4, "a quarter of the scene is less than"),
        ({"depth": (0.01, 0.02)}, 4, "a quarter of the scene is more than"),
    ],
)  # fmt: skip
def test_a_capture_unlike_the_training(scene, weights, seen, views, start):
    (line,) = lines(scene, replace(weights, seen=replace(SEEN, **seen)), views=views).findings
    assert line.startswith(start)
    if "depth" in seen:
        assert ("too far apart" if seen["depth"][0] > 1 else "too close together") in line


def by_spread(*pairs):
    """Quality by spacing: (degrees, dB) for each path."""
    return Spread([SpreadRow(f"p{i}", 4, 16, a, b, 15.0) for i, (a, b) in enumerate(pairs)])


def test_a_spread_that_costs_much_on_rooms_is_named(scene, weights):
    """With what these weights reach where views are so far apart, and where they are near each other."""
    measured = replace(weights, spread=by_spread((1.0, 24.0), (60.0, 12.0)))
    diagnosis = lines(scene, measured)
    degrees = diagnosis.measured["spacing_degrees"]
    expected = 24 - 12 * (degrees - 1) / 59
    assert diagnosis.measured["rooms_psnr"] == pytest.approx(expected, abs=0.06)
    (line,) = diagnosis.findings
    assert line.startswith(
        f"each input view looks {degrees:.0f} degrees away from the nearest other one"
    )
    assert f"reach {expected:.1f} dB (a plane warp 15.0), with 1 degrees 24.0 dB" in line
    assert "--around FRAME" in line


def test_what_is_near_one_frame_already_is_not_advised_again(scene, weights):
    measured = replace(weights, spread=by_spread((1.0, 24.0), (60.0, 2.0)))
    part = choose_views(scene.part(range(12)), 4, "even")
    found = reconstruct(scene, measured, part, framing_of(scene, measured))
    (line,) = diagnose(found, measured, GOOD, False).findings
    assert line.endswith("reconstruct a smaller part (--frames A:B)") and "--around" not in line


def test_a_spread_that_costs_little_is_not_named(scene, weights):
    found = lines(scene, replace(weights, spread=by_spread((1.0, 24.0), (60.0, 23.0))))
    assert found.findings == [] and found.measured["rooms_psnr"] > 23
    # nearer to each other than on the best path
    near = lines(scene, replace(weights, spread=by_spread((40.0, 16.0), (80.0, 24.0))))
    assert near.findings == []


def test_views_that_look_apart_are_not_also_called_too_close(scene, weights):
    """Cameras that turn on the spot: one line would ask for less spread, another one for more."""
    far = replace(weights, seen=replace(SEEN, depth=(0.01, 0.02)))
    assert "too close together" in lines(scene, far).findings[0]
    (line,) = lines(scene, replace(far, spread=by_spread((1.0, 24.0), (30.0, 12.0)))).findings
    assert line.startswith("each input view looks")


def summary_of(**values):
    return {method: {"psnr": {"mean": value}} for method, value in values.items()}


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"model": 9.0, "mean_colour": 10.0, "plane_warp": 12.0}, "this reconstruction is not usable: 9.0"),
        ({"model": 12.0, "mean_colour": 10.0, "nearest_view": 18.0}, "copying the nearest input view, which"),
        ({"model": 20.0, "nearest_view": 18.0, "plane_warp": 22.0}, "a plane warp, which learns nothing, is"),
    ],
)  # fmt: skip
def test_what_learns_nothing_and_is_better_is_said_first(scene, weights, values, start):
    (line,) = lines(scene, weights, summary_of(**values)).findings
    assert line.startswith(start) and line.endswith(
        "try --splat 30, which optimises the scene itself"
    )
    wrong = reconstruct(
        scene, weights, choose_views(scene, 4, "even"), framing_of(scene, weights)
    ).inputs[1]
    first, second = lines(turned(scene, wrong, 5.0), weights, summary_of(**values)).findings
    assert first == line and "contradict" in second


def test_of_an_optimised_scene_no_further_optimisation_is_advised(scene, weights):
    found = reconstruct(scene, weights, choose_views(scene, 4, "even"), framing_of(scene, weights))
    summary = summary_of(model=9.0, mean_colour=10.0)
    (line,) = diagnose(replace(found, optimised=True), weights, summary, False).findings
    assert line.endswith("one flat colour gives 10.0 dB")


def test_missing_detail_is_said_where_pixels_are_right(scene, weights):
    summary = summary_of(model=20.0, nearest_view=18.0)
    summary["model"] |= {"ssim": {"mean": 0.5}, "lpips": {"mean": 0.4}}
    summary["nearest_view"] |= {"ssim": {"mean": 0.4}, "lpips": {"mean": 0.3}}
    (line,) = lines(scene, weights, summary).findings
    assert line.startswith("fine detail is missing: LPIPS stay behind copying")


def test_of_merged_parts_their_number_of_views_is_nothing_to_say(scene, weights):
    found = reconstruct(scene, weights, choose_views(scene, 6, "even"), framing_of(scene, weights))
    several = replace(found, parts=3)
    assert diagnose(several, weights, GOOD, False).findings == []


def test_small_images_and_unknown_training_are_not_judged(smoke_run, tmp_path):
    scene = read_capture(example_capture(tmp_path / "small", 32))
    weights = replace(read_weights(smoke_run.folder), seen=None)
    diagnosis = lines(scene, weights)
    assert diagnosis.findings == [] and diagnosis.measured["matched_at"] is None


def test_epipolar_distances_are_opencv_s():
    rng = np.random.default_rng(0)
    intrinsics = [np.array([[300.0, 0, 160], [0, 310, 120], [0, 0, 1]])] * 2
    w2c = [np.eye(4), np.eye(4)]
    w2c[1][:3, :3] = rotation_about_y(torch.tensor(0.2, dtype=torch.float64)).numpy()
    w2c[1][:3, 3] = [-0.5, 0.1, 0.2]
    points = np.c_[rng.uniform(-1, 1, (20, 2)), rng.uniform(3, 5, 20), np.ones(20)]
    pixels = []
    for matrix, pose in zip(intrinsics, w2c, strict=True):
        projected = points @ pose[:3].T @ matrix.T
        pixels.append(projected[:, :2] / projected[:, 2:])
    assert epipolar_distance((pixels[0], pixels[1]), intrinsics, w2c).max() < 1e-9
    moved = pixels[1] + rng.normal(0, 2, (20, 2))
    fundamental, _ = cv2.findFundamentalMat(pixels[0], pixels[1], cv2.FM_8POINT)
    ones = np.ones(1)
    expected = [
        cv2.sampsonDistance(np.r_[a, ones], np.r_[b, ones], fundamental) ** 0.5
        for a, b in zip(pixels[0], moved, strict=True)
    ]
    found = epipolar_distance((pixels[0], moved), intrinsics, w2c)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_a_pose_turned_away_is_named_wrong_and_not_without_overlap(scene, weights):
    frame = reconstruct(
        scene, weights, choose_views(scene, 4, "even"), framing_of(scene, weights)
    ).inputs[1]
    (line,) = lines(turned(scene, frame, 120.0), weights).findings
    assert line.startswith("the poses contradict the images") and scene.names[frame] in line


def test_coordinates_too_large_for_a_ply_are_said(scene, weights):
    c2w = scene.c2w.clone()
    c2w[:, :3, 3] += torch.tensor([4e6, 0.0, 3e6]).double()
    (line,) = lines(replace(scene, c2w=c2w), weights).findings
    assert line.startswith("the cameras are 4e+06 from the world origin")


def test_pairs_that_opencv_gives_up_on_are_not_matched(scene, weights, monkeypatch):
    def gives_up(*arguments):
        raise cv2.error("!model.empty()")

    monkeypatch.setattr(matching.cv2, "findFundamentalMat", gives_up)
    diagnosis = lines(scene, weights)
    assert diagnosis.measured["matched_pairs"] == 0


def test_the_nearest_number_of_views_is_advised(scene, weights):
    seen = replace(weights, seen=replace(SEEN, views=(2, 6)))
    (line,) = lines(scene, seen, views=8).findings
    assert line.startswith("8 input views, but the weights were trained with 2 to 6: try --views 6")


def test_enlarged_frames_are_said(scene, weights):
    found = reconstruct(
        scene, weights, choose_views(scene, 2, "kmeans"), framing_of(scene, weights, "224x256")
    )
    (line,) = [
        x for x in diagnose(found, weights, GOOD, show_progress=False).findings if "enl" in x
    ]
    assert line.startswith("frames of 192x192 were enlarged to 224x256")
