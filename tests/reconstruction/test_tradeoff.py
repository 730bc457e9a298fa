"""The trade-off of one capture: which rows, in which order of seconds, and the files of the command."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

from ilrm import tradeoff
from ilrm.data.procedural.samples import example_capture
from ilrm.data.scene import PointCloud
from ilrm.data.sources.captures import read_capture
from ilrm.evaluation.summary import summarize
from ilrm.reconstruct import main as reconstruct_main
from ilrm.reconstruction import tradeoff as tradeoffs


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return example_capture(tmp_path_factory.mktemp("captures") / "room", 32)


@pytest.fixture(scope="module")
def out(capture, smoke_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    arguments = [capture, "--weights", smoke_run.folder, "--out", folder, "--steps", "200"]
    assert tradeoff.main([str(a) for a in arguments]) == 0
    return folder


def test_rows_of_the_model_and_of_3d_gs(out):
    rows = pd.read_csv(out / "rows.csv")
    ours, theirs, splat = (rows[rows.method == method] for method in ("ilrm", "3d-gs", "splat"))
    assert ours.steps.tolist() == [0, 10, 20]
    for part in (theirs, splat):
        assert part.steps.tolist() == sorted(tradeoffs.curve_steps(200)) and part.steps.max() == 200
    for part in (ours, theirs, splat):
        assert (part.seconds.diff().dropna() > 0).all() and part.seconds.min() > 0
    # plane-sweep points are a better start than random ones
    assert splat.psnr.iloc[0] > theirs.psnr.iloc[0]
    rivals = rows[rows.seconds.isna()].set_index("method")
    assert set(rivals.index) == {"plane_warp", "plane_sweep"} and (rivals.psnr > 5).all()
    assert ours.gaussians.nunique() == 1
    assert theirs.psnr.iloc[-1] > theirs.psnr.iloc[0] + 3


def test_zero_shot_and_refined_are_what_reconstruct_measures(out, capture, smoke_run, tmp_path):
    rows = pd.read_csv(out / "rows.csv").set_index(["method", "steps"])
    for steps in (0, 10):
        folder = tmp_path / str(steps)
        arguments = [capture, "--weights", smoke_run.folder, "--out", folder, "--refine", steps]
        reconstruct_main([str(a) for a in arguments])
        summary = summarize(pd.read_csv(folder / "per_view.csv"))
        expected = summary["model"]["psnr"]["mean"]
        assert rows.loc[("ilrm", steps), "psnr"] == pytest.approx(expected, abs=1e-3)


def test_about_says_what_was_measured(out):
    about = json.loads((out / "about.json").read_text())
    assert (
        about["views"] == 4
        and about["start"] == "random points"
        and about["splat_start"] == "plane-sweep points"
        and about["size"] == "32x32"
    )
    assert about["environment"]["device"]


def test_steps_of_the_curve():
    assert tradeoffs.curve_steps(10) == {10}
    steps = sorted(tradeoffs.curve_steps(3_000))
    assert steps[0] == 10 and steps[-1] == 3_000 and 100 in steps and 1_000 in steps


def test_few_points_are_no_start(capture):
    scene = read_capture(capture)
    for count, enough in ((0, False), (99, False), (100, True)):
        points = PointCloud(torch.zeros(count, 3), torch.zeros(count, 3))
        assert tradeoffs.has_points(replace(scene, points=points)) is enough
    assert tradeoffs.has_points(scene) is False  # this layout has none


def test_too_few_steps_are_one_line(capture, smoke_run, capsys):
    arguments = [capture, "--weights", smoke_run.folder, "--steps", "3"]
    assert tradeoff.main([str(a) for a in arguments]) == 2
    assert capsys.readouterr().err.strip() == "error: steps=3: give an integer from 10 to 1000000"


def test_a_trade_off_of_another_capture_or_of_other_weights_is_kept(
    out, capture, smoke_run, tmp_path, capsys
):
    """Captures have the same names: `images` or `scene` is that of many."""
    before = (out / "rows.csv").read_bytes()
    other = tmp_path / "room"
    shutil.copytree(capture, other)
    path = other / "opencv_cameras.json"
    cameras = json.loads(path.read_text())
    for frame in cameras["frames"]:
        frame["w2c"][0][3] += 0.1
    path.write_text(json.dumps(cameras))
    shutil.copytree(smoke_run.folder, tmp_path / "weights")
    for folder, weights, words in (
        (other, smoke_run.folder, "other cameras"),
        (capture, tmp_path / "weights", "other weights"),
    ):
        arguments = [folder, "--weights", weights, "--out", out, "--steps", "10"]
        assert tradeoff.main([str(a) for a in arguments]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert f"holds a trade-off with {words}: remove it, or give --out" in line
    assert (out / "rows.csv").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/rows.csv").write_text("mine")
    arguments = [capture, "--weights", smoke_run.folder, "--out", tmp_path / "mine"]
    assert tradeoff.main([str(a) for a in arguments]) == 2
    assert "mine is not empty and holds no trade-off" in capsys.readouterr().err
    assert (tmp_path / "mine/rows.csv").read_text() == "mine"
