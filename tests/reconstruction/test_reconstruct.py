"""From a capture to a scene folder: what is written, in which frame, and what a browser shows."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ilrm import reconstruct
from ilrm.cameras import Cameras
from ilrm.data.frames.view_selection import FullCoverage
from ilrm.data.framing import Framing
from ilrm.data.procedural.samples import example_capture
from ilrm.data.sources.captures import read_capture
from ilrm.errors import TooFewFramesError
from ilrm.export.ply import read_ply
from ilrm.export.scene_folder import scene_folder, write_scene
from ilrm.export.video import flight_order, smooth_path
from ilrm.reconstruction.predict import framing_of, larger
from ilrm.reconstruction.predict import reconstruct as reconstruct_capture
from ilrm.reconstruction.view_choice import choose_views
from ilrm.rendering import render
from ilrm.weights.state import read_weights
from tests.data.layouts import LAYOUTS, NAMED
from tests.helpers import some_cameras


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return example_capture(tmp_path_factory.mktemp("captures") / "room", 32)


@pytest.fixture(scope="module")
def out(capture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "scene"
    arguments = [capture, "--weights", "ilrm-small", "--out", folder, "--refine", "2"]
    assert reconstruct.main([str(a) for a in arguments]) == 0
    return folder


def test_a_scene_folder(out):
    assert {f.name for f in out.iterdir()} == {
        "scene.ply", "viewer.html", "flythrough.webm", "flythrough.mp4", "renders", "depth", "comparison.png",
        "per_view.csv", "metrics.json", "diagnosis.json",
    }  # fmt: skip
    renders, depths = (list((out / name).iterdir()) for name in ("renders", "depth"))
    assert len(renders) == len(depths) >= 1
    for name, codec in (("flythrough.webm", "VP90"), ("flythrough.mp4", "FMP4")):
        video = cv2.VideoCapture(str(out / name))
        tag = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
        assert tag == codec and video.get(cv2.CAP_PROP_FRAME_WIDTH) == 400
        frames = 0
        while video.read()[0]:
            frames += 1
        assert frames == 96


def test_the_ply_seen_by_the_capture_s_own_cameras_is_the_render(out, capture):
    scene = read_capture(capture)
    name = min(path.stem for path in (out / "renders").iterdir())
    frame = int(name)
    fxfycxcy, c2w = scene.fxfycxcy[None, [frame]], scene.c2w[None, [frame]]
    cameras = Cameras.from_fxfycxcy(fxfycxcy, c2w.float(), *scene.sizes[frame])
    image = render(read_ply(out / "scene.ply"), cameras).images[0, 0].clamp(0, 1)
    kept = np.asarray(Image.open(out / "renders" / f"{name}.png")) / 255
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy(), kept, atol=0.01)


def test_refinement_helps_the_inputs(capture, smoke_run):
    scene, weights = read_capture(capture), read_weights(smoke_run.folder)
    framing = framing_of(scene, weights)
    errors = []
    for steps in (0, 5):
        chosen = choose_views(scene, 4, "even")
        found = reconstruct_capture(scene, weights, chosen, framing, steps)
        images = render(found.gaussians, found.batch.inputs.cameras).images
        errors.append(float((images - found.batch.inputs.images).square().mean()))
    assert errors[1] < errors[0]


def test_views_are_no_targets_and_too_few_are_refused(capture):
    scene = read_capture(capture)
    for choice in ("kmeans", "even"):
        inputs, targets = FullCoverage(6, choice).frames(scene)
        assert len(set(inputs)) == 6 and not set(inputs) & set(targets)
        assert targets == [0, 8, 16]
    with pytest.raises(TooFewFramesError, match="22 views requested from 21 frames"):
        FullCoverage(22).frames(scene)


def test_sizes_follow_the_shape_of_the_frames(capture, smoke_run):
    scene, weights = read_capture(capture), read_weights(smoke_run.folder)
    assert framing_of(scene, weights) == framing_of(scene, weights, "32x32") == Framing(32, 32)
    wide = replace(scene, sizes=[(18, 64)] * len(scene))
    assert framing_of(wide, weights) == Framing(16, 60)  # in whole patches of 4
    small = replace(scene, sizes=[(16, 16)] * len(scene))  # not enlarged
    assert framing_of(small, weights) == Framing(16, 16)
    cameras = larger(some_cameras(batch=1), 480)
    assert (cameras.height, cameras.width) == (480, 480)


def test_a_flight_keeps_the_capture_s_order_unless_it_jumps():
    line = torch.eye(4).repeat(20, 1, 1)
    line[:, 0, 3] = torch.arange(20.0)
    order = flight_order(line)
    assert order == sorted(order) and len(order) == 16 and {order[0], order[-1]} == {0, 19}
    mixed = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    places = line[mixed][flight_order(line[mixed])][:, 0, 3]
    assert (places.diff() > 0).all() or (places.diff() < 0).all()


def test_a_flight_through_ten_thousand_cameras_takes_no_more_memory(monkeypatch):
    line = torch.eye(4).repeat(300, 1, 1)
    line[:, 0, 3] = torch.arange(300.0)
    monkeypatch.setattr("ilrm.export.video.MOST", 100)
    order = flight_order(line)
    assert order == sorted(order) and len(order) == 16 and {order[0], order[-1]} == {0, 299}


def test_a_smooth_path_passes_the_cameras():
    cameras = some_cameras(batch=1, views=4)
    path = smooth_path(cameras, 301)
    for end in (0, -1):
        torch.testing.assert_close(path.c2w[0, end], cameras.c2w[0, end], atol=1e-4, rtol=0)
    distances = torch.cdist(path.c2w[0, :, :3, 3], cameras.c2w[0, :, :3, 3]).amin(0)
    assert distances.max() < 0.05
    steps = path.c2w[0].diff(dim=0).flatten(1).norm(dim=1)
    assert steps.max() < 0.2


def test_a_scene_replaces_an_earlier_one_and_nothing_else(
    out, capture, smoke_run, tmp_path, capsys
):
    """No frame of the earlier scene is left; a folder with anything else in it is refused before the work."""
    folder = tmp_path / "scene"
    shutil.copytree(out, folder)
    (folder / "renders/old.png").write_text("of another capture")
    arguments = [capture, "--weights", smoke_run.folder, "--views", "4", "--out", folder]
    assert reconstruct.main([str(a) for a in arguments]) == 0
    assert not (folder / "renders/old.png").exists() and (folder / "scene.ply").exists()
    assert f"the earlier scene in {folder} is replaced" in capsys.readouterr().out
    (folder / "notes.txt").write_text("mine")
    scan = tmp_path / "scans/depth/mine.exr"  # named as a part of a scene is
    scan.parent.mkdir(parents=True)
    scan.write_text("mine")
    pictures = tmp_path / "pictures/renders/mine.png"
    pictures.parent.mkdir(parents=True)
    pictures.write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    for path, message in (
        (folder, "contains notes.txt"),
        (tmp_path / "scans", "contains mine.exr"),
        (tmp_path / "pictures", "is not empty and is not a scene folder"),
        (file, "is a file: give a folder"),
    ):
        arguments[-1] = path
        capsys.readouterr()
        assert reconstruct.main([str(a) for a in arguments]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
    mine = (folder / "notes.txt", scan, pictures, file)
    assert {path.read_text() for path in mine} == {"mine"}
    link = tmp_path / "link"
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    arguments[-1] = link
    assert reconstruct.main([str(a) for a in arguments]) == 0
    assert link.is_symlink() and (tmp_path / "elsewhere/scene.ply").exists()


def test_captures_of_one_name_have_folders_of_their_own(tmp_path):
    """In the run store, where the notebook writes; a name of any letters, through a link or a dot as well."""
    first, second = tmp_path / "one/images", tmp_path / "two/images"
    for folder in (first, second):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(first)
    found = [scene_folder(path, tmp_path) for path in (first, second, tmp_path / "link")]
    assert found[0] != found[1] and found[0] == found[2] == scene_folder(first / ".", tmp_path)
    assert all(path.parent == tmp_path and path.name.startswith("images-") for path in found)
    assert scene_folder(tmp_path / "../ä b", tmp_path).parent == tmp_path


def test_names_that_are_not_utf_8(capture, smoke_run, tmp_path):
    """Of folders and photos, as archives of other systems hold them; OpenCV would crash on such a path."""
    folder, out = (
        Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/r\xe4um", b"/\xf6ut")
    )
    shutil.copytree(capture, folder)
    photo = os.fsdecode(b"\xe4.png")
    (folder / "images/003.png").rename(folder / "images" / photo)
    path = folder / "opencv_cameras.json"
    cameras = json.loads(path.read_text())
    cameras["frames"][3]["file_path"] = f"images/{photo}"
    path.write_text(json.dumps(cameras))
    arguments = [folder, "--weights", smoke_run.folder, "--views", "4", "--out", out]
    assert reconstruct.main([str(a) for a in arguments]) == 0
    assert (out / "flythrough.mp4").stat().st_size > 1000
    scene = read_capture(folder)
    assert scene.key == "r\\udce4um" and "\\udce4.png" in scene.names


def test_frames_of_one_name_in_two_folders_are_kept_apart(capture, smoke_run, tmp_path):
    folder = tmp_path / "two"
    shutil.copytree(capture, folder)
    path = folder / "opencv_cameras.json"
    cameras = json.loads(path.read_text())
    for i, frame in enumerate(cameras["frames"]):
        name = Path(f"{('left', 'right')[i // 12]}/{i % 12:03d}.png")
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / frame["file_path"]).rename(folder / name)
        frame["file_path"] = str(name)
    path.write_text(json.dumps(cameras))
    arguments = [folder, "--weights", smoke_run.folder, "--views", "4", "--choice", "even"]
    arguments += ["--out", tmp_path / "out"]
    assert reconstruct.main([str(a) for a in arguments]) == 0
    renders = tmp_path / "out/renders"
    found = sorted(p.relative_to(renders).as_posix().split("~")[0] for p in renders.rglob("*.png"))
    assert found == ["left_000", "left_008", "right_004"]


@pytest.mark.parametrize("layout", NAMED)
def test_no_name_in_a_capture_leads_out_of_a_folder(layout, smoke_run, tmp_path, capsys):
    folder = LAYOUTS[layout](tmp_path / "captures/desk")
    evil = tmp_path / "captures/evil/a.png"
    evil.parent.mkdir()
    shutil.copy(folder / "images/000.png", evil)
    mine = [tmp_path / f"results/{place}evil/a.png" for place in ("", "out/")]
    mine[0].parent.mkdir(parents=True)
    mine[0].write_text("mine")
    names, old = folder / LAYOUTS[layout].files[0], LAYOUTS[layout].image
    new = old.replace("000.png", "../../evil/a.png")
    names.write_bytes(names.read_bytes().replace(old.encode(), new.encode(), 1))
    out = tmp_path / "results/out"
    arguments = [folder, "--weights", smoke_run.folder, "--views", "2", "--out", out]
    assert reconstruct.main([str(a) for a in arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "evil/a.png' lies outside of" in line and ("frame 0" in line or "image '" in line)
    assert mine[0].read_text() == "mine" and not out.exists()


def test_pictures_are_written_into_their_folders_whatever_frames_are_called(
    capture, smoke_run, tmp_path
):
    """Also where a reader lets such a name through."""
    scene, weights = read_capture(capture), read_weights(smoke_run.folder)
    chosen = choose_views(scene, 4, "even")
    found = reconstruct_capture(scene, weights, chosen, framing_of(scene, weights))
    names = [f"../../evil/{i}.png" for i in range(len(scene))]
    names[8], names[16] = "/" + "a" * 300 + ".png", "...png"
    (tmp_path / "results").mkdir()
    out = tmp_path / "results/out"
    write_scene(replace(found, scene=replace(scene, names=names)), weights, out)
    assert [p.name for p in tmp_path.iterdir()] == ["results"]
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["out"]
    for kind in ("renders", "depth"):
        assert len([p for p in (out / kind).iterdir() if p.suffix == ".png"]) == 3


def test_errors_are_one_line(tmp_path, smoke_run, capsys):
    arguments = [tmp_path, "--weights", smoke_run.folder, "--out", tmp_path / "out"]
    assert reconstruct.main([str(a) for a in arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and "contains no posed images" in line


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the viewer in")
def test_the_viewer_shows_the_scene_without_a_network(out, capture, tmp_path):
    """From the place of the input in the middle a browser shows what our rasteriser does."""
    picture = tmp_path / "viewer.png"
    flags = "--headless --no-sandbox --disable-gpu --use-angle=swiftshader --no-first-run "
    flags += "--enable-unsafe-swiftshader --disable-background-networking --disable-sync "
    flags += "--disable-component-update --disable-quic --window-size=600,400"
    done = subprocess.run(
        [
            str(BROWSER), *flags.split(), f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=120000", f"--screenshot={picture}", f"file://{out / 'viewer.html'}",
        ],
        capture_output=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and picture.exists()
    shown = np.asarray(Image.open(picture).convert("L"), dtype=float)
    scene = read_capture(capture)
    inputs = json.loads((out / "metrics.json").read_text())["inputs"]
    frames = [list(scene.names).index(name) for name in inputs]
    places = scene.c2w[frames, :3, 3]
    frame = frames[int((places - places.mean(0)).norm(dim=1).argmin())]
    height, width = shown.shape
    focal = float(scene.fxfycxcy[frame, 1]) * height / scene.sizes[frame][0]
    clear = (slice(150, -70), slice(100, 500))  # of the viewer's panels and the line of help
    found = []
    # headless Chromium lays the page out before it has its full height, and stretches what was drawn
    for stretched in torch.linspace(0.5, 1, 26).tolist():
        fxfycxcy = torch.tensor([[[focal * stretched, focal, width / 2, height / 2]]])
        camera = Cameras.from_fxfycxcy(fxfycxcy, scene.c2w[None, [frame]].float(), height, width)
        image = render(read_ply(out / "scene.ply"), camera).images[0, 0].clamp(0, 1).mean(0).numpy()
        found.append(np.corrcoef(shown[clear].ravel(), image[clear].ravel())[0, 1])
    assert max(found) > 0.98  # 0.999; drawn without being sorted by depth: 0.95
