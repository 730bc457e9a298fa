"""Folders of captures: what each scene is called, what is no capture, links."""

import shutil

import pytest

from ilrm.data.batches import HeldOutScenes, open_scenes
from ilrm.data.frames.view_selection import FullCoverage
from ilrm.data.framing import Framing
from ilrm.data.sources.captures import CaptureScenes, read_capture
from tests.data.layouts import FRAMES, LAYOUTS, colmap, nerfstudio, opencv


def test_links_to_folders_of_one_name_are_several_scenes(tmp_path):
    """As where captures lie on several disks: rows of an evaluation are told apart by these keys."""
    (tmp_path / "set").mkdir()
    for name in ("garden", "kitchen"):
        opencv(tmp_path / name / "scene")
        (tmp_path / "set" / name).symlink_to(tmp_path / name / "scene")
    scenes = open_scenes(tmp_path / "set", "test")
    held_out = HeldOutScenes(scenes, FullCoverage(3), Framing(48, 64))
    assert [scene.key for scene in held_out] == scenes.keys == ["garden", "kitchen"]
    assert open_scenes(tmp_path / "set/garden", "test").keys == ["garden"]
    assert read_capture(tmp_path / "set/garden").key == "garden"


def test_the_working_folder_and_paths_with_dots_have_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(opencv(tmp_path / "desk"))
    assert [read_capture(path).key for path in (".", "../desk", "images/..")] == ["desk"] * 3


def test_folders_without_cameras_are_said(tmp_path, capsys):
    """A capture that lost its cameras is not missed silently."""
    for name in "abcdef":
        opencv(tmp_path / name)
    for name in "bcde":
        (tmp_path / name / "opencv_cameras.json").unlink()
    (tmp_path / ".cache").mkdir()
    assert CaptureScenes(tmp_path).keys == ["a", "f"]
    said = f"b, c, d and 1 more in {tmp_path} have no cameras: left out\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_capture_may_have_a_folder_called_test(layout, tmp_path):
    """Of images, as NeRF's synthetic scenes have; the capture itself is what was given."""
    folder = LAYOUTS[layout](tmp_path / "desk")
    shutil.copytree(folder / "images", folder / "test")
    scenes = open_scenes(folder, "test")
    assert scenes.keys == ["desk"] and len(scenes.load("desk")) == FRAMES


def test_what_a_capture_is_read_from_decides_its_version(tmp_path):
    """Cameras behind a link, and a model that is added."""
    folder = colmap(tmp_path / "a")
    (folder / "sparse/0").rename(tmp_path / "model")
    (folder / "sparse/0").symlink_to(tmp_path / "model")
    scenes = CaptureScenes(folder)
    versions = [scenes.version("a")]
    path = tmp_path / "model/points3D.bin"
    path.write_bytes(path.read_bytes()[:-1])
    versions.append(scenes.version("a"))
    shutil.copytree(tmp_path / "model", folder / "sparse/1")
    versions.append(scenes.version("a"))
    (nerfstudio(tmp_path / "b") / "transforms.json").rename(folder / "transforms.json")
    versions.append(scenes.version("a"))
    assert len(set(versions)) == 4
