"""One capture in every layout gives one scene, whatever its layout leaves out or names otherwise."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from ilrm import errors
from ilrm.data.batches import HeldOutScenes, open_scenes
from ilrm.data.frames.view_selection import FullCoverage
from ilrm.data.framing import Framing
from ilrm.data.sources.captures import CaptureScenes, read_capture
from tests.data.layouts import (
    FRAMES,
    FXFYCXCY,
    HEIGHT,
    LAYOUTS,
    WIDTH,
    colmap,
    edited,
    nerfstudio,
    opencv,
    poses,
    with_images,
)


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


def test_a_folder_of_captures_and_a_capture_alone(tmp_path):
    opencv(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    scenes = open_scenes(tmp_path, "test")
    assert isinstance(scenes, CaptureScenes)
    assert scenes.keys == ["a", "b"] and len(scenes.load("b")) == FRAMES
    assert open_scenes(tmp_path / "a", "test").keys == ["a"]
    with pytest.raises(errors.DataError, match=r"give a folder with train/ and test/"):
        open_scenes(tmp_path, "train")  # which would be the test scenes
    shutil.copytree(tmp_path / "a", tmp_path / "both/train/c")
    assert open_scenes(tmp_path / "both", "train").keys == ["c"]
    with pytest.raises(errors.DataError, match="scene c"):
        scenes.load("c")


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
    with pytest.raises(errors.DataError, match=r"000\.png is the image of 2 frames"):
        read_capture(folder)
    edited(
        folder,
        "opencv_cameras.json",
        lambda v: v["frames"][2].update(file_path="left/../left/000.png"),
    )
    with pytest.raises(errors.DataError, match=r"000\.png is the image of 2 frames"):
        read_capture(folder)
    edited(folder, "opencv_cameras.json", lambda value: value["frames"].__delitem__(slice(2, None)))
    assert read_capture(folder).names == ["left/000.png", "right/000.png"]


@pytest.mark.parametrize("layout", ["opencv", "nerfstudio", "colmap-binary", "llff"])
def test_folders_of_images_may_be_links(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "a")
    (folder / "images").rename(tmp_path / "photos")
    (folder / "images").symlink_to(tmp_path / "photos")
    (tmp_path / "link").symlink_to(folder)
    for path in (folder, tmp_path / "link"):
        assert read_capture(path).names == [f"{i:03d}.png" for i in range(FRAMES)]


def test_a_nested_file_of_cameras_names_images_above_it(tmp_path):
    folder = nerfstudio(tmp_path / "a")
    (folder / "nerfstudio").mkdir()
    (folder / "transforms.json").rename(folder / "nerfstudio/transforms.json")
    edited(
        folder / "nerfstudio",
        "transforms.json",
        lambda v: [e.update(file_path=f"../{e['file_path']}") for e in v["frames"]],
    )
    assert read_capture(folder).names == [f"{i:03d}.png" for i in range(FRAMES)]


def test_images_may_be_named_by_their_whole_path(tmp_path):
    folder = opencv(tmp_path / "a")
    (tmp_path / "link").symlink_to(folder)
    edited(
        folder,
        "opencv_cameras.json",
        lambda v: [e.update(file_path=str(folder / e["file_path"])) for e in v["frames"]],
    )
    for path in (folder, tmp_path / "link"):
        assert len(read_capture(path)) == FRAMES
    with pytest.raises(errors.DataError, match=r"frame 0: its image .* lies outside"):
        read_capture(shutil.copytree(folder, tmp_path / "moved"))


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
    with pytest.raises(errors.DataError, match="has no folder images_9"):
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
    code = "import os, signal; from ilrm.data.sources.distortion import load_pycolmap; load_pycolmap(); "
    code += "os.kill(os.getpid(), signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
