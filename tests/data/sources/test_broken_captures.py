"""What is broken in a capture is one clear line that says where."""

import json
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from ilrm import errors
from ilrm.data.sources.captures import read_capture
from tests.data.layouts import (
    FRAMES,
    WIDTH,
    colmap,
    edited,
    llff,
    nerfstudio,
    opencv,
    with_images,
)


def cut(folder, file, size):
    (folder / file).write_bytes((folder / file).read_bytes()[:size])
    return folder


def camera_model(folder, number):
    path = folder / "sparse/0/cameras.bin"
    data = bytearray(path.read_bytes())
    data[12:16] = struct.pack("<i", number)
    path.write_bytes(data)
    return folder


def replaced(folder, file, old, new):
    path = folder / "sparse/0" / file
    path.write_text(path.read_text().replace(old, new))
    return folder


def without_observations(folder):
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if line and not line.startswith("#")))
    return folder


def zero_quaternion(folder):
    path = folder / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("000.png"))
    words = lines[at].split()
    lines[at] = " ".join([words[0], *["0"] * 4, *words[5:]])
    path.write_text("\n".join(lines) + "\n")
    return folder


BROKEN = {
    "missing image": (
        lambda f: (opencv(f) / "images/001.png").unlink(),
        errors.DataError,
        r"frame 001\.png: .* is missing \(images has 3 images, from 000\.png to 003\.png\)",
    ),
    "wrong size": (
        lambda f: Image.new("RGB", (30, 20)).save(opencv(f) / "images/002.png"),
        errors.DataError,
        r"frame 002\.png: .*20x30 pixels, its camera 48x64",
    ),
    "nan pose": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: v["frames"][1]["w2c"][0].__setitem__(3, float("nan")),
        ),
        errors.DataError,
        r"frame 001\.png: its pose is not finite",
    ),
    "no rotation": (
        lambda f: edited(
            nerfstudio(f),
            "transforms.json",
            lambda v: v["frames"][2]["transform_matrix"][0].__setitem__(0, 3.0),
        ),
        errors.DataError,
        "does not contain a rotation matrix",
    ),
    "truncated json": (
        lambda f: cut(nerfstudio(f), "transforms.json", 200),
        errors.DataError,
        "truncated or not valid JSON",
    ),
    "truncated cameras": (
        lambda f: cut(colmap(f), "sparse/0/cameras.bin", 40),
        errors.DataError,
        r"cameras\.bin is truncated",
    ),
    "truncated images": (
        lambda f: cut(colmap(f), "sparse/0/images.bin", 100),
        errors.DataError,
        r"images\.bin is truncated",
    ),
    "truncated points": (
        lambda f: cut(colmap(f), "sparse/0/points3D.bin", 100),
        errors.DataError,
        r"points3D\.bin is truncated",
    ),
    "missing model file": (
        lambda f: (colmap(f) / "sparse/0/images.bin").unlink(),
        errors.DataError,
        r"images\.bin is missing",
    ),
    "unknown model": (
        lambda f: camera_model(colmap(f), 99),
        errors.DataError,
        "camera model number 99 is unknown",
    ),
    "unknown nerfstudio model": (
        lambda f: nerfstudio(f, camera_model="EQUIRECTANGULAR"),
        errors.DataError,
        "EQUIRECTANGULAR is not one of",
    ),
    "panorama": (
        lambda f: colmap(f, model="EQUIRECTANGULAR", parameters=[64.0, 48.0]),
        errors.DataError,
        "cannot be undistorted",
    ),
    "truncated llff": (
        lambda f: cut(llff(f), "poses_bounds.npy", 300),
        errors.DataError,
        r"poses_bounds\.npy is truncated",
    ),
    "zero quaternion": (
        lambda f: zero_quaternion(colmap(f, binary=False)),
        errors.DataError,
        r"frame 000\.png: its pose is not finite",
    ),
    "negative size": (
        lambda f: replaced(colmap(f, binary=False), "cameras.txt", f" {WIDTH} ", f" -{WIDTH} "),
        errors.DataError,
        "camera 1: -64x48 pixels: width and height must be positive",
    ),
    "a size beyond reason": (
        lambda f: replaced(colmap(f, binary=False), "cameras.txt", f" {WIDTH} ", f" {'1' * 300} "),
        errors.DataError,
        "width and height must be positive, at most 1,000,000",
    ),
    "no image folder": (
        lambda f: shutil.rmtree(colmap(f) / "images"),
        errors.DataError,
        r"a/images/000\.png is missing \(a has sparse\): fetch the image",
    ),
    "intrinsics in units of the size": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: v["frames"][0].update(fx=0.9, fy=0.9, cx=0.5, cy=0.5),
        ),
        errors.DataError,
        "intrinsics must be in pixels",
    ),
    "principal point in units of the size": (
        lambda f: edited(
            opencv(f), "opencv_cameras.json", lambda v: v["frames"][0].update(cx=0.5, cy=0.5)
        ),
        errors.DataError,
        "principal point is in the corner: intrinsics must be in pixels",
    ),
    "principal point far outside": (
        lambda f: edited(
            opencv(f), "opencv_cameras.json", lambda v: v["frames"][0].update(cx=700.0)
        ),
        errors.DataError,
        "seen 85 degrees off the optical axis",
    ),
    "another lens in opencv_cameras.json": (
        lambda f: edited(opencv(f), "opencv_cameras.json", lambda v: v["frames"][1].update(k1=0.1)),
        errors.DataError,
        r"frame 1: its lens is described by k1=0\.1, which is not supported",
    ),
    "no focal length": (
        lambda f: edited(
            nerfstudio(f), "transforms.json", lambda v: (v.pop("fl_x"), v.pop("fl_y"))
        ),
        errors.DataError,
        r"has no focal length \(fl_x, camera_angle_x or x_fov\)",
    ),
    "deeply nested json": (
        lambda f: (opencv(f) / "opencv_cameras.json").write_text("[" * 100_000),
        errors.DataError,
        "nested too deeply|not valid JSON",
    ),
    "photos in a format that is not read": (
        lambda f: [p.rename(p.with_suffix(".HEIC")) for p in (llff(f) / "images").iterdir()],
        errors.DataError,
        "has 4 poses, images has .*; 4 like 000.HEIC have to be converted to JPEG: need one image",
    ),
    "no lines of observations": (
        lambda f: without_observations(colmap(f, binary=False)),
        errors.DataError,
        "the line of observations after image .* is missing",
    ),
    "transposed poses": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: [e.update(w2c=np.array(e["w2c"]).T.tolist()) for e in v["frames"]],
        ),
        errors.DataError,
        "frame 0: the last row of its pose is not 0 0 0 1",
    ),
    "degrees": (
        lambda f: edited(
            nerfstudio(f, camera_angle_x=60), "transforms.json", lambda v: v.pop("fl_x")
        ),
        errors.DataError,
        "camera_angle_x is 60: need radians",
    ),
    "null byte": (
        lambda f: edited(
            opencv(f), "opencv_cameras.json", lambda v: v["frames"][0].update(file_path="a\0b.png")
        ),
        errors.DataError,
        "null byte",
    ),
    **{
        f"distortion k1={k1:g}": (
            lambda f, k1=k1: nerfstudio(f, k1=k1),
            errors.DataError,
            r"frame 000\.png: undistortion leaves .* of 48x64 pixels .*: correct the distortion",
        )
        for k1 in (50.0, -50.0, 1e30)
    },
    "a distortion of COLMAP": (
        lambda f: colmap(f, model="SIMPLE_RADIAL", parameters=[60, 33, 23, 90]),
        errors.DataError,
        "undistortion leaves",
    ),
    "a rotation that is scaled": (
        lambda f: edited(
            nerfstudio(f),
            "transforms.json",
            lambda v: v["frames"][1].update(transform_matrix=np.diag([2.0, 2, 2, 1]).tolist()),
        ),
        errors.DataError,
        r"frame 001\.png: its pose does not contain a rotation matrix \(it is scaled by 2\)",
    ),
    "left-handed axes": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: v["frames"][1].update(w2c=np.diag([1.0, 1, -1, 1]).tolist()),
        ),
        errors.DataError,
        r"rotation matrix \(its axes are left-handed\)",
    ),
    "null for a focal length": (
        lambda f: nerfstudio(f, fl_x=None),
        errors.DataError,
        "frame 0: a value of a wrong type \\(fl_x is None\\)",
    ),
    "true for a focal length": (
        lambda f: nerfstudio(f, fl_x=True),
        errors.DataError,
        "frame 0: a value of a wrong type \\(fl_x is True\\)",
    ),
    "nothing": (lambda f: f.mkdir(), errors.DataError, "contains no posed images"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_one_line(case, tmp_path):
    make, error, message = BROKEN[case]
    make(tmp_path / "a")
    with pytest.raises(error, match=message) as caught:
        read_capture(tmp_path / "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("binary", [True, False])
def test_no_truncated_model_is_taken_for_a_whole_one(name, binary, tmp_path):
    folder = colmap(tmp_path / "a", binary)
    file = folder / "sparse/0" / f"{name}{'.bin' if binary else '.txt'}"
    whole = file.read_bytes()
    start = (
        0 if binary else whole.index(b"# Number") + 30
    )  # a text header may be missing altogether
    for size in range(start, len(whole) - 25, 13):
        file.write_bytes(whole[:size])
        with pytest.raises(errors.DataError):
            read_capture(folder)


SIZES = [("w", None), ("w", "abc"), ("w", -4), ("w", 64.5), ("h", float("inf")), ("file_path", 3)]

WRONG_KINDS = [
    *[(opencv, name, value) for name, value in [*SIZES, ("fx", [1]), ("fy", None)]],
    *[(nerfstudio, name, value) for name, value in [*SIZES, ("fl_x", [1]), ("k1", "x")]],
]


@pytest.mark.parametrize(("layout", "name", "value"), WRONG_KINDS)
def test_values_of_a_wrong_kind_are_one_line_that_names_the_frame(tmp_path, layout, name, value):
    folder = layout(tmp_path / "capture")
    (path,) = folder.rglob("*.json")
    cameras = json.loads(path.read_text())
    cameras["frames"][2][name] = value
    path.write_text(json.dumps(cameras))
    with pytest.raises(errors.DataError, match="frame 2"):
        read_capture(folder)


def test_a_frame_that_is_no_object_is_one_line(tmp_path):
    folder = opencv(tmp_path / "capture")
    (folder / "opencv_cameras.json").write_text(json.dumps({"frames": [3]}))
    with pytest.raises(errors.DataError, match="frame 0: a value of a wrong type"):
        read_capture(folder)


def test_text_in_poses_bounds_is_one_line(tmp_path):
    folder = with_images(tmp_path / "capture")
    np.save(folder / "poses_bounds.npy", np.full((FRAMES, 17), "1.0"))
    with pytest.raises(errors.DataError, match="is not an array of numbers"):
        read_capture(folder)


def test_positions_beyond_reason_are_refused(tmp_path):
    folder = opencv(tmp_path / "capture")
    path = folder / "opencv_cameras.json"
    cameras = json.loads(path.read_text())
    cameras["frames"][0]["w2c"][0][3] = 1e300
    path.write_text(json.dumps(cameras))
    with pytest.raises(errors.DataError, match="recentre the cameras"):
        read_capture(folder)
