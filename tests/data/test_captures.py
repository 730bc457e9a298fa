"""One capture in every layout gives one scene; what is broken is one clear line."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from ilrm.data import errors
from ilrm.data.captures import CaptureScenes, read_capture
from ilrm.data.scene import Framing
from ilrm.data.scenes import HeldOutScenes, open_scenes
from ilrm.data.selection import FullCoverage

HEIGHT, WIDTH, FRAMES = 48, 64, 4
FXFYCXCY = [60.0, 61.0, 33.0, 23.0]


def poses() -> np.ndarray:
    """OpenCV camera-to-world matrices [4, 4, 4]."""
    turns = [pycolmap.Rotation3d(np.array([0.0, 0.1 * i, 0.05])).matrix() for i in range(FRAMES)]
    c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
    c2w[:, :3, :3] = turns
    c2w[:, :3, 3] = np.random.default_rng(0).normal(size=(FRAMES, 3))
    return c2w


def with_images(folder, factor=1, name="images"):
    (folder / name).mkdir(parents=True)
    for i in range(FRAMES):
        image = Image.new("RGB", (WIDTH // factor, HEIGHT // factor), (40 * i, 100, 200))
        image.save(folder / name / f"{i:03d}.png")
    return folder


def opencv(folder):
    with_images(folder)
    intrinsics = dict(zip(("fx", "fy", "cx", "cy"), FXFYCXCY, strict=True))
    frames = [
        {
            "file_path": f"images/{i:03d}.png",
            "w2c": np.linalg.inv(p).tolist(),
            "w": WIDTH,
            "h": HEIGHT,
        }
        | intrinsics
        for i, p in enumerate(poses())
    ]
    (folder / "opencv_cameras.json").write_text(json.dumps({"frames": frames}))
    return folder


def nerfstudio(folder, **shared):
    with_images(folder)
    opengl = poses() @ np.diag([1, -1, -1, 1])
    frames = [
        {"file_path": f"images/{i:03d}.png", "transform_matrix": p.tolist()}
        for i, p in enumerate(opengl)
    ]
    names = ("fl_x", "fl_y", "cx", "cy")
    value = dict(zip(names, FXFYCXCY, strict=True)) | {"w": WIDTH, "h": HEIGHT, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(value | shared))
    return folder


def colmap(folder, binary=True, model="PINHOLE", parameters=FXFYCXCY):
    """Written by pycolmap, read by us."""
    with_images(folder)
    scene = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model=model, width=WIDTH, height=HEIGHT, params=parameters, camera_id=1
    )
    scene.add_camera_with_trivial_rig(camera)
    for i, pose in enumerate(poses()):
        image = pycolmap.Image(name=f"{i:03d}.png", camera_id=1, image_id=i + 1)
        scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.linalg.inv(pose)[:3]))
    for i in range(5):
        scene.add_point3D(
            np.array([i, 1.0, 2.0]), pycolmap.Track(), np.array([255, 0, 51], np.uint8)
        )
    (folder / "sparse/0").mkdir(parents=True)
    write = scene.write_binary if binary else scene.write_text
    write(str(folder / "sparse/0"))
    return folder


def llff(folder):
    with_images(folder)
    rows = []
    for pose in poses():
        right, down, forward, position = pose[:3].T
        five = np.stack([down, right, -forward, position, [HEIGHT, WIDTH, 60.0]], 1)
        rows.append([*five.ravel(), 0.1, 10.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


LAYOUTS = {
    "opencv": opencv,
    "nerfstudio": nerfstudio,
    "colmap-binary": colmap,
    "colmap-text": lambda folder: colmap(folder, binary=False),
    "llff": llff,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_scene(layout, tmp_path):
    scene = read_capture(LAYOUTS[layout](tmp_path / "desk"))
    assert (scene.key, len(scene), scene.sizes[0]) == ("desk", FRAMES, (HEIGHT, WIDTH))
    torch.testing.assert_close(scene.c2w, torch.from_numpy(poses()), atol=1e-5, rtol=0)
    wanted = [60.0, 60.0, 32.0, 24.0] if layout == "llff" else FXFYCXCY
    torch.testing.assert_close(scene.fxfycxcy, torch.tensor([wanted] * FRAMES))
    images, _ = scene.frames([0, 3], Framing(48, 64))
    colors = torch.tensor([[0, 100, 200], [120, 100, 200]]) / 255
    torch.testing.assert_close(images.mean((2, 3)), colors, atol=1e-3, rtol=0)
    if layout.startswith("colmap"):
        assert scene.points.positions.shape == (5, 3)
        torch.testing.assert_close(scene.points.colors[0], torch.tensor([1.0, 0.0, 0.2]))


def test_smaller_images_scale_their_cameras(tmp_path):
    folder = with_images(nerfstudio(tmp_path / "a"), 4, "images_4")
    scene = read_capture(folder, "images_4")
    assert scene.sizes[0] == (12, 16)
    torch.testing.assert_close(scene.fxfycxcy[0], torch.tensor(FXFYCXCY) / 4)


def test_distortion_is_undone(tmp_path, capsys):
    """A dot that the distorted camera sees is where the pinhole camera of the scene projects it."""
    parameters = [*FXFYCXCY, 0.3, 0.05, 0.0, 0.0]
    folder = colmap(tmp_path / "a", model="OPENCV", parameters=parameters)
    camera = pycolmap.Camera(model="OPENCV", width=WIDTH, height=HEIGHT, params=parameters)
    ray = np.array([0.25, -0.15])
    x, y = camera.img_from_cam(np.array([*ray, 1.0]))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    Image.fromarray(dot.astype(np.uint8)).save(folder / "images/000.png")
    scene = read_capture(folder)
    height, width = scene.sizes[0]
    images, fxfycxcy = scene.frames([0], Framing(height, width))
    weight = images[0, 0] * (images[0, 0] > 0.1)
    columns = (torch.arange(width) + 0.5)[None]
    rows = (torch.arange(height) + 0.5)[:, None]
    seen = [float((weight * c).sum() / weight.sum()) for c in (columns, rows)]
    f, c = fxfycxcy[0, :2].numpy(), fxfycxcy[0, 2:].numpy()
    np.testing.assert_allclose(seen, ray * f + c, atol=0.15)
    assert abs(x - (ray[0] * 60 + 33)) > 0.3  # it was bent
    ignored = read_capture(folder, distortion="ignore")
    torch.testing.assert_close(ignored.fxfycxcy[0], torch.tensor(FXFYCXCY))
    assert "lens distortion of 4 frames is ignored" in capsys.readouterr().out


def edited(folder, file, change):
    value = json.loads((folder / file).read_text())
    change(value)
    (folder / file).write_text(json.dumps(value))
    return folder


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
        errors.BadImageError,
        r"frame 001\.png: .* is missing",
    ),
    "wrong size": (
        lambda f: Image.new("RGB", (30, 20)).save(opencv(f) / "images/002.png"),
        errors.BadShapeError,
        r"frame 002\.png: .*20x30 pixels, its camera 48x64",
    ),
    "nan pose": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: v["frames"][1]["w2c"][0].__setitem__(3, float("nan")),
        ),
        errors.BadCamerasError,
        r"frame 001\.png: its pose is not finite",
    ),
    "no rotation": (
        lambda f: edited(
            nerfstudio(f),
            "transforms.json",
            lambda v: v["frames"][2]["transform_matrix"][0].__setitem__(0, 3.0),
        ),
        errors.BadCamerasError,
        "is no rotation",
    ),
    "truncated json": (
        lambda f: cut(nerfstudio(f), "transforms.json", 200),
        errors.CaptureUnreadableError,
        "truncated or no JSON",
    ),
    "truncated cameras": (
        lambda f: cut(colmap(f), "sparse/0/cameras.bin", 40),
        errors.CaptureUnreadableError,
        r"cameras\.bin is truncated",
    ),
    "truncated images": (
        lambda f: cut(colmap(f), "sparse/0/images.bin", 100),
        errors.CaptureUnreadableError,
        r"images\.bin is truncated",
    ),
    "truncated points": (
        lambda f: cut(colmap(f), "sparse/0/points3D.bin", 100),
        errors.CaptureUnreadableError,
        r"points3D\.bin is truncated",
    ),
    "missing model file": (
        lambda f: (colmap(f) / "sparse/0/images.bin").unlink(),
        errors.CaptureUnreadableError,
        r"images\.bin is missing",
    ),
    "unknown model": (
        lambda f: camera_model(colmap(f), 99),
        errors.CameraModelError,
        "camera model number 99 is unknown",
    ),
    "unknown nerfstudio model": (
        lambda f: nerfstudio(f, camera_model="EQUIRECTANGULAR"),
        errors.CameraModelError,
        "EQUIRECTANGULAR is none of",
    ),
    "panorama": (
        lambda f: colmap(f, model="EQUIRECTANGULAR", parameters=[64.0, 48.0]),
        errors.CameraModelError,
        "cannot be undistorted",
    ),
    "truncated llff": (
        lambda f: cut(llff(f), "poses_bounds.npy", 300),
        errors.CaptureUnreadableError,
        r"poses_bounds\.npy is truncated",
    ),
    "zero quaternion": (
        lambda f: zero_quaternion(colmap(f, binary=False)),
        errors.BadCamerasError,
        r"frame 000\.png: its pose is not finite",
    ),
    "negative size": (
        lambda f: replaced(colmap(f, binary=False), "cameras.txt", f" {WIDTH} ", f" -{WIDTH} "),
        errors.BadCamerasError,
        "camera 1: -64x48 pixels: sizes are above 0",
    ),
    "no image folder": (
        lambda f: shutil.rmtree(colmap(f) / "images"),
        errors.BadImageError,
        r"a/images/000\.png is missing",
    ),
    "intrinsics in units of the size": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: v["frames"][0].update(fx=0.9, fy=0.9, cx=0.5, cy=0.5),
        ),
        errors.BadCamerasError,
        "intrinsics are in pixels",
    ),
    "principal point outside": (
        lambda f: edited(
            opencv(f), "opencv_cameras.json", lambda v: v["frames"][0].update(cx=70.0)
        ),
        errors.BadCamerasError,
        "intrinsics are in pixels",
    ),
    "no lines of observations": (
        lambda f: without_observations(colmap(f, binary=False)),
        errors.CaptureUnreadableError,
        "a line of observations is missing",
    ),
    "transposed poses": (
        lambda f: edited(
            opencv(f),
            "opencv_cameras.json",
            lambda v: [e.update(w2c=np.array(e["w2c"]).T.tolist()) for e in v["frames"]],
        ),
        errors.BadCamerasError,
        "frame 0: the last row of its pose is not 0 0 0 1",
    ),
    "degrees": (
        lambda f: edited(
            nerfstudio(f, camera_angle_x=60), "transforms.json", lambda v: v.pop("fl_x")
        ),
        errors.BadCamerasError,
        "camera_angle_x is 60: need radians",
    ),
    "null byte": (
        lambda f: edited(
            opencv(f), "opencv_cameras.json", lambda v: v["frames"][0].update(file_path="a\0b.png")
        ),
        errors.BadImageError,
        "null byte",
    ),
    "nothing": (lambda f: f.mkdir(), errors.CaptureMissingError, "holds no posed images"),
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


def test_a_folder_of_captures_and_a_capture_alone(tmp_path):
    opencv(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    scenes = open_scenes(tmp_path, "test")
    assert isinstance(scenes, CaptureScenes)
    assert scenes.keys == ["a", "b"] and len(scenes.load("b")) == FRAMES
    assert open_scenes(tmp_path / "a", "test").keys == ["a"]
    with pytest.raises(errors.DatasetMissingError, match=r"give a folder with train/ and test/"):
        open_scenes(tmp_path, "train")  # which would be the test scenes
    shutil.copytree(tmp_path / "a", tmp_path / "both/train/c")
    assert open_scenes(tmp_path / "both", "train").keys == ["c"]
    with pytest.raises(errors.SceneMissingError, match="scene c"):
        scenes.load("c")


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
    with pytest.raises(errors.CaptureUnreadableError, match="frame 0: a value of a wrong kind"):
        read_capture(folder)


def test_text_in_poses_bounds_is_one_line(tmp_path):
    folder = with_images(tmp_path / "capture")
    np.save(folder / "poses_bounds.npy", np.full((FRAMES, 17), "1.0"))
    with pytest.raises(errors.CaptureUnreadableError, match="row 0: a value of a wrong kind"):
        read_capture(folder)


def test_positions_beyond_reason_are_refused(tmp_path):
    folder = opencv(tmp_path / "capture")
    path = folder / "opencv_cameras.json"
    cameras = json.loads(path.read_text())
    cameras["frames"][0]["w2c"][0][3] = 1e300
    path.write_text(json.dumps(cameras))
    with pytest.raises(errors.BadCamerasError, match="recentre the cameras"):
        read_capture(folder)


def test_surveyed_coordinates_keep_their_baseline(tmp_path):
    """Cameras millions of metres from their origin give the normalised views of the same near it."""
    near, far = opencv(tmp_path / "near"), opencv(tmp_path / "far")

    def away(value):
        for frame in value["frames"]:
            c2w = np.linalg.inv(np.array(frame["w2c"]))
            c2w[:3, 3] += [4e6, -5e5, 3e6]
            frame["w2c"] = np.linalg.inv(c2w).tolist()

    edited(far, "opencv_cameras.json", away)
    batches = []
    for folder in (near, far):
        scenes = CaptureScenes(folder)
        held_out = HeldOutScenes(scenes, FullCoverage(3), Framing(48, 64))
        scene = held_out.usable(scenes.keys[0])  # not skipped for standing far away
        batches.append(scene.batch)
    a, b = (batch.inputs.cameras for batch in batches)
    assert b.c2w.dtype == torch.float32
    torch.testing.assert_close(b.c2w, a.c2w, atol=1e-6, rtol=0)


def test_a_camera_without_size_is_of_the_image_that_its_file_names(tmp_path):
    folder = with_images(nerfstudio(tmp_path / "a"), 4, "images_4")
    edited(folder, "transforms.json", lambda value: (value.pop("w"), value.pop("h")))
    for _ in range(2):
        scene = read_capture(folder, "images_4")
        assert scene.sizes[0] == (12, 16)
        torch.testing.assert_close(scene.fxfycxcy[0], torch.tensor(FXFYCXCY) / 4)
        shutil.rmtree(folder / "images", ignore_errors=True)  # only the smaller ones were copied


def test_fields_of_view_give_focal_lengths(tmp_path):
    folder = nerfstudio(tmp_path / "a", camera_angle_x=1.0, camera_angle_y=0.9)
    edited(folder, "transforms.json", lambda value: (value.pop("fl_x"), value.pop("fl_y")))
    focal = read_capture(folder).fxfycxcy[0, :2]
    wanted = [0.5 * WIDTH / np.tan(0.5), 0.5 * HEIGHT / np.tan(0.45)]
    torch.testing.assert_close(focal, torch.tensor(wanted).float())


def test_a_pinhole_with_distortion_is_undistorted(tmp_path):
    bent = nerfstudio(tmp_path / "a", camera_model="PINHOLE", k1=0.3)
    named = nerfstudio(tmp_path / "b", camera_model="OPENCV", k1=0.3)
    a, b = read_capture(bent), read_capture(named)
    assert torch.equal(a.fxfycxcy, b.fxfycxcy) and a.sizes == b.sizes
    assert a.sources[0].distorted == b.sources[0].distorted is not None


def test_names_of_several_folders_stay_apart(tmp_path):
    folder = opencv(tmp_path / "a")
    for name in ("left", "right"):
        shutil.copytree(folder / "images", folder / name)

    def two(value):
        for i, frame in enumerate(value["frames"]):
            frame["file_path"] = f"{('left', 'right')[i % 2]}/000.png"

    edited(folder, "opencv_cameras.json", two)
    with pytest.raises(errors.BadCamerasError, match=r"000\.png is the image of 2 frames"):
        read_capture(folder)
    edited(
        folder,
        "opencv_cameras.json",
        lambda v: v["frames"][2].update(file_path="left/../left/000.png"),
    )
    with pytest.raises(errors.BadCamerasError, match=r"000\.png is the image of 2 frames"):
        read_capture(folder)
    edited(folder, "opencv_cameras.json", lambda value: value["frames"].__delitem__(slice(2, None)))
    assert read_capture(folder).names == ["left/000.png", "right/000.png"]


def test_smaller_images_may_lie_in_subfolders(tmp_path):
    for layout in (nerfstudio, colmap):
        folder = layout(tmp_path / layout.__name__)
        for name, factor in (("images", 1), ("images_4", 4)):
            if name == "images":
                shutil.rmtree(folder / name)
            with_images(folder / name, factor, "a")
        if layout is nerfstudio:
            edited(
                folder,
                "transforms.json",
                lambda v: [
                    e.update(file_path=e["file_path"].replace("images/", "images/a/"))
                    for e in v["frames"]
                ],
            )
        else:
            renamed(folder / "sparse/0")
        scene = read_capture(folder, "images_4")
        assert scene.sizes[0] == (12, 16), layout
        torch.testing.assert_close(scene.fxfycxcy[0], torch.tensor(FXFYCXCY) / 4)
    with pytest.raises(errors.CaptureMissingError, match="has no folder images_9"):
        read_capture(folder, "images_9")


def renamed(model):
    """The model's images in a subfolder."""
    scene = pycolmap.Reconstruction(str(model))
    for image in scene.images.values():
        image.name = f"a/{image.name}"
    scene.write_binary(str(model))


def test_any_file_that_is_replaced_changes_a_scene_s_version(tmp_path):
    """Also by one of the same length and an older time, as copying with times leaves it."""
    folder = opencv(tmp_path / "a")
    scenes = CaptureScenes(folder)
    before = scenes.version("a")
    assert CaptureScenes(folder).version("a") == before
    cameras = folder / "opencv_cameras.json"
    os.utime(cameras, (1e9, 1e9))
    assert scenes.version("a") != before


def test_a_process_that_is_stopped_prints_no_stack():
    code = "import os, signal, ilrm.data.captures; os.kill(os.getpid(), signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
