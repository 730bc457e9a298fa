"""One capture in every layout gives one scene, whatever its layout leaves out or names otherwise."""

import json
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
from ilrm.data.dataset import ViewsDataset
from ilrm.data.frames.neighbourhood import frame_number, frame_range
from ilrm.data.frames.training_windows import WindowSchedule
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


@pytest.mark.parametrize("layout", LAYOUTS)
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
    with pytest.raises(errors.DataError, match="has no folder .images_9."):
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


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("what", ["folder", "files", "capture"])
def test_a_replaced_image_changes_the_version_wherever_it_lies(layout, what, tmp_path):
    """On another disk, behind links, an image that is replaced makes an evaluation stale."""
    folder = LAYOUTS[layout](tmp_path / "data/a")
    images = folder / "images"
    (tmp_path / "disk").mkdir()
    if what == "folder":
        images.rename(tmp_path / "disk/images")
        images.symlink_to(tmp_path / "disk/images")
    elif what == "files":
        for path in list(images.iterdir()):
            path.rename(tmp_path / "disk" / path.name)
            path.symlink_to(tmp_path / "disk" / path.name)
    else:
        folder.rename(tmp_path / "disk/a")
        folder.symlink_to(tmp_path / "disk/a")
    (folder / "loop").symlink_to(folder)  # is not followed for ever
    scenes = CaptureScenes(tmp_path / "data")
    before = scenes.version("a")
    assert CaptureScenes(tmp_path / "data").version("a") == before
    (image,) = (tmp_path / "disk").rglob("001.png")
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(image)
    assert scenes.version("a") != before


def parts_of_colmap(folder, *counts, binary=True):
    """A capture whose COLMAP models sparse/0, sparse/1, ... have these numbers of its images."""
    colmap(folder, binary)
    (folder / "sparse/0").rename(folder / "whole")
    for number, count in enumerate(counts):
        scene = pycolmap.Reconstruction(str(folder / "whole"))
        for image in list(scene.images)[count:]:
            scene.deregister_frame(scene.images[image].frame_id)
        (folder / f"sparse/{number}").mkdir(parents=True)
        write = scene.write_binary if binary else scene.write_text
        write(str(folder / f"sparse/{number}"))
    shutil.rmtree(folder / "whole")
    return folder


@pytest.mark.parametrize("binary", [True, False])
def test_the_largest_of_several_colmap_models_is_read(binary, tmp_path, capsys):
    folder = parts_of_colmap(tmp_path / "a", 1, 3, 2, binary=binary)
    assert len(read_capture(folder)) == 3
    assert (
        "capture a: COLMAP split it into 3 models that are not connected: sparse/1 (3 images) is read, "
        "sparse/2 (2 images), sparse/0 (1 images) left out" in capsys.readouterr().out
    )
    assert len(read_capture(folder, model="sparse/2")) == 2
    assert "models" not in capsys.readouterr().out
    for wrong in ("sparse/7", "../a/../b"):
        with pytest.raises(errors.DataError, match=r"sparse/7 is not a COLMAP model|outside of"):
            read_capture(folder, model=wrong)
    for path in (folder / "sparse/1").iterdir():
        path.write_bytes(b"")  # a damaged one has no images
    assert len(read_capture(folder)) == 2


def test_a_folder_of_captures_says_its_remarks_once(tmp_path, capsys):
    parts_of_colmap(tmp_path / "data/a", 3, 1)
    scenes = CaptureScenes(tmp_path / "data")
    for _ in range(3):
        scenes.load("a")
    assert capsys.readouterr().out.count("COLMAP split it") == 1


@pytest.mark.parametrize("binary", [True, False])
def test_names_of_colmap_s_images_may_hold_spaces(binary, tmp_path):
    folder = colmap(tmp_path / "a", binary)
    model = folder / "sparse/0"
    scene = pycolmap.Reconstruction(str(model))
    for i, image in enumerate(scene.images.values()):
        (folder / "images" / image.name).rename(folder / f"images/two  spaces {i}.png")
        image.name = f"two  spaces {i}.png"
    (scene.write_binary if binary else scene.write_text)(str(model))
    assert read_capture(folder).names == [f"two  spaces {i}.png" for i in range(FRAMES)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("orientation", [6, 8])
def test_photos_that_are_stored_turned(layout, orientation, tmp_path, capsys):
    """Cameras made from the upright photo get the upright photo; cameras of the stored one that one."""
    folder = LAYOUTS[layout](tmp_path / "a")
    stored = tmp_path / "stored"
    shutil.copytree(folder, stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    for path in (folder / "images").iterdir():
        upright = Image.open(path).convert("RGB")
        upright.putpixel((0, 0), (255, 255, 255))
        upright.transpose(back).save(path, exif=exif)
        upright.save(stored / "images" / path.name, exif=exif)
    scene = read_capture(folder)
    assert scene.sizes[0] == (HEIGHT, WIDTH)
    assert scene.sources[0].open().getpixel((0, 0)) == (255, 255, 255)
    assert f"{FRAMES} photos are turned upright" in capsys.readouterr().out
    scene = read_capture(stored)
    assert scene.sources[0].open().getpixel((0, 0)) == (255, 255, 255)
    assert "turned" not in capsys.readouterr().out


def test_a_crop_keeps_its_principal_point_outside_of_it(tmp_path):
    folder = edited(
        opencv(tmp_path / "a"),
        "opencv_cameras.json",
        lambda value: [frame.update(cx=-10.0, cy=70.0) for frame in value["frames"]],
    )
    assert read_capture(folder).fxfycxcy[0, 2:].tolist() == [-10, 70]


def unpadded(folder, layout="nerfstudio", count=12):
    """A capture of images 1.png to 12.png on a line, in this order."""
    folder = with_images(folder)
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    frames = []
    for i in range(1, count + 1):
        Image.new("RGB", (WIDTH, HEIGHT), (i, 0, 0)).save(folder / f"images/{i}.png")
        pose = np.eye(4)
        pose[0, 3] = i
        frames.append({"file_path": f"images/{i}.png", "transform_matrix": pose.tolist()})
    value = {"fl_x": 60.0, "w": WIDTH, "h": HEIGHT, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(value))
    return folder


def test_numbers_without_padding_are_followed_where_order_matters(tmp_path):
    """Hold-outs are published for the order of names; flights, even choices and ranges follow numbers."""
    scene = read_capture(unpadded(tmp_path / "a"))
    assert scene.names[:3] == ["1.png", "10.png", "11.png"]
    assert [scene.names[i] for i in scene.sequence] == [f"{i}.png" for i in range(1, 13)]
    inputs, targets = FullCoverage(4, "even").frames(scene)
    assert [scene.names[i] for i in targets] == ["1.png", "6.png"]  # the first and ninth by name
    assert {scene.names[i] for i in inputs} == {"2.png", "5.png", "9.png", "12.png"}
    part = frame_range(scene, "1:5")
    assert set(part.names) == {"2.png", "3.png", "4.png", "5.png"}
    assert scene.names[frame_number(scene, "0")] == "1.png"


def test_training_windows_follow_numbers_without_padding(tmp_path):
    unpadded(tmp_path / "train/a")
    for budget in (0, 2 << 30):  # decoded on demand, and kept in memory
        scenes = CaptureScenes(tmp_path / "train")
        data = ViewsDataset(
            scenes,
            Framing(48, 64),
            1,
            2,
            1,
            schedule=WindowSchedule((3, 3), (3, 3), 1),
            memory_budget=budget,
        )
        for step in range(8):
            views = data.batch(step)
            at = [
                float(views[f"{part}_c2w"][0, :, 0, 3].abs().max())
                for part in ("context", "target")
            ]
            low = float(views["context_c2w"][0, :, 0, 3].abs().min())
            assert at[0] - low <= 3 and low <= at[1] <= at[0]  # neighbours by number
