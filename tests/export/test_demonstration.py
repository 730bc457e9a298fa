"""`ilrm demo`: a scene from photos with the shipped weights, said to be as good as it is."""

import json

import pytest

from ilrm.__main__ import main
from ilrm.data.procedural.samples import example_capture
from ilrm.export import demonstration


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return example_capture(tmp_path_factory.mktemp("captures") / "room", 32)


def test_a_capture_becomes_a_scene_beside_what_learns_nothing(capture, tmp_path, capsys):
    out = tmp_path / "scene"
    assert main(["demo", "--capture", str(capture), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    summary = json.loads((out / "metrics.json").read_text())["summary"]
    for method, name in (("plane_warp", "plane warp"), ("nearest_view", "nearest input view")):
        assert f"{name} {summary[method]['psnr']['mean']:5.1f} dB" in printed
    assert f"refined {summary['model']['psnr']['mean']:5.1f} dB" in printed
    assert "model " in printed and "learns nothing" in printed
    assert f"{out.as_uri()}/viewer.html" in printed and (out / "viewer.html").exists()
    assert str(out / "comparison.png") in printed and (out / "comparison.png").exists()
    assert "ilrm demo --capture FOLDER" in printed


def test_without_a_capture_it_draws_photos_of_a_room(tmp_path, monkeypatch):
    """Small ones here; the choice of views is even, which rounding cannot change."""
    monkeypatch.setattr(demonstration, "FOLDER", tmp_path)
    monkeypatch.setattr(
        demonstration, "example_capture", lambda folder: example_capture(folder, 32)
    )
    monkeypatch.setattr(demonstration, "STEPS", 1)
    shown = demonstration.demonstrate()
    assert shown.photos == tmp_path / "photos" / "room" and shown.folder == tmp_path / "room"
    assert len(list((shown.photos / "images").iterdir())) == 24
    assert shown.about.startswith("8 input views spread over all 24 frames")
    assert set(shown.written.compared) == set(demonstration.MEANINGS)


def test_a_folder_of_something_else_is_left_alone(capture, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", "--capture", str(capture), "--out", str(tmp_path)]) == 2
    assert "contains notes.txt" in capsys.readouterr().err
