"""Cameras of transforms.json: every way to give a focal length, and no lens that is taken for a pinhole."""

import math

import pytest

from ilrm.data.sources.lens import check_lens, nerfstudio_camera
from ilrm.errors import DataError

SIZE = (64, 48)


def focal(shared, own=None):
    camera = nerfstudio_camera(shared, own or {}, SIZE, "frame 0")
    return camera.focal_length_x, camera.focal_length_y


ANGLE_X, ANGLE_Y = (2 * math.atan(0.5 * side / 60) for side in SIZE)
SAME = [
    {"fl_x": 60},
    {"fl_y": 60},
    {"fl_x": 60, "fl_y": 60},
    {"camera_angle_x": ANGLE_X},
    {"camera_angle_y": ANGLE_Y},
    {"camera_angle_x": ANGLE_X, "camera_angle_y": ANGLE_Y},
    {"x_fov": math.degrees(ANGLE_X)},
    {"y_fov": math.degrees(ANGLE_Y)},
    {"fl_x": 60, "camera_angle_y": ANGLE_Y},
]


@pytest.mark.parametrize("entry", SAME, ids=lambda entry: "+".join(entry))
def test_every_way_to_give_a_focal_length(entry):
    assert focal(entry) == pytest.approx((60, 60))
    assert focal({}, entry) == pytest.approx((60, 60))


@pytest.mark.parametrize("shared", SAME, ids=lambda entry: "+".join(entry))
def test_a_frame_s_own_focal_length_wins_however_it_is_given(shared):
    assert focal(shared, {"fl_x": 30, "fl_y": 40}) == pytest.approx((30, 40))
    own = {"camera_angle_x": 2 * math.atan(1)}
    assert focal(shared, own) == pytest.approx((32, 32))


def test_a_frame_s_own_principal_point_and_distortion_win():
    shared = {"fl_x": 60, "cx": 1, "cy": 2, "k1": 0.1}
    camera = nerfstudio_camera(shared, {"cx": 30, "k1": 0.2}, SIZE, "")
    assert camera.params.tolist() == [60, 60, 30, 2, 0.2, 0, 0, 0]


@pytest.mark.parametrize(
    "lens",
    [
        {"latlong": True},
        {"is_latlong": 1},
        {"equirectangular": True},
        {"orthographic": True},
        {"ftheta_p0": 0.1},
        {"rolling_shutter": [0, 0, 0.1, 0]},
        {"distortion_params": [0.1, 0, 0, 0]},
        {"s1": 0.1},
        {"k7": 0.1},
        {"xi": 0.9},
        {"dist_coeffs": [0.1, 0, 0, 0]},
        {"distCoeffs": [0.1, 0, 0, 0]},
        {"D": [0.1, 0, 0, 0]},
        {"b1": 0.5},
        {"skew": 5.0},
        {"is_360": True},
        {"cubemap": True},
        {"lens_model": "equidistant"},
        {"lens_mode": "ftheta"},
        {"lens": "fisheye"},
        {"type": "equirectangular"},
        {"camera": {"model": "fisheye"}},
        {"transform_matrix_start": [[1, 0, 0, 0]]},
        {"camera_type": "spherical"},
        {"camera_model": "EQUIRECTANGULAR"},
        {"camera_model": "FISHEYE624"},
        {"projection_type": "cylindrical"},
    ],
    ids=lambda lens: next(iter(lens)),
)
def test_another_lens_is_refused(lens):
    for shared, own in (({"fl_x": 60} | lens, {}), ({"fl_x": 60}, lens)):
        with pytest.raises(DataError, match=r"frame 0: .*(undistort|perspective)"):
            nerfstudio_camera(shared, own, SIZE, "frame 0")


@pytest.mark.parametrize(
    "entry",
    [
        {
            "latlong": False,
            "rolling_shutter": [0, 0, 0, 0],
            "k1": 0.0,
            "camera_type": "perspective",
        },
        {"aabb_scale": 16, "scale": 0.3, "sharpness": 30.1, "ply_file_path": "a.ply"},
        {"projection_matrix": [[1, 0], [0, 1]], "shutter_speed": 0.01, "lens_model": "EF 24mm"},
        {"camera_model": "SIMPLE_PINHOLE"},
        {
            "camera_model": "perspective",
            "lens": 35.0,
            "is_fisheye": "false",
            "d": 1,
            "type": "camera",
        },
        {"camera": {"model": "pinhole", "make": "Canon"}, "dist_coeffs": [0, 0, 0, 0], "skew": 0.0},
    ],
)
def test_what_says_nothing_of_another_lens_is_accepted(entry):
    check_lens(entry, "frame 0")
    assert nerfstudio_camera({"fl_x": 60} | entry, {}, SIZE, "").model_name == "PINHOLE"


@pytest.mark.parametrize("model", ["OPENCV", "opencv", "RADIAL", "SIMPLE_RADIAL", "PINHOLE"])
def test_coefficients_of_perspective_models_are_used(model):
    camera = nerfstudio_camera({"fl_x": 60, "k1": 0.1, "camera_model": model}, {}, SIZE, "")
    assert camera.model_name == "OPENCV" and camera.params[4] == 0.1


def test_fisheye():
    camera = nerfstudio_camera({"fl_x": 60, "k1": 0.1, "is_fisheye": True}, {}, SIZE, "")
    assert camera.model_name == "OPENCV_FISHEYE"


@pytest.mark.parametrize(
    ("entry", "unit"), [({"camera_angle_x": 60}, "radians"), ({"x_fov": 190}, "degrees")]
)
def test_an_angle_out_of_range_names_its_unit(entry, unit):
    with pytest.raises(DataError, match=f"{next(iter(entry))} is .*: need {unit}"):
        focal(entry)
