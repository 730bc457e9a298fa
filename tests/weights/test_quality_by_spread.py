"""Quality by spread is measured on rooms of every path, with the numbers of views of the training."""

import json
from dataclasses import replace

import pytest

from ilrm.spread import main
from ilrm.weights.quality_by_spread import PATHS, _views, quality_by_spread
from ilrm.weights.state import read_weights
from ilrm.weights.training_ranges import TrainingRanges


@pytest.fixture(scope="module")
def weights(smoke_run):
    return read_weights(smoke_run.folder)


def test_every_path_is_measured(weights):
    spread = quality_by_spread(weights, scenes=2)
    assert [row.path for row in spread.rows] == list(PATHS)
    assert {row.views for row in spread.rows} == {weights.config.data.context_views}
    assert {row.scenes for row in spread.rows} == {2}
    by_path = {row.path: row for row in spread.rows}
    assert by_path["re10k"].spacing < by_path["orbit120"].spacing
    # the smoke model has learned nothing: a plane warp is better
    assert by_path["re10k"].plane_warp > by_path["re10k"].psnr > 5


@pytest.mark.parametrize(
    ("seen", "views"), [((2, 8), [2, 4, 8]), ((3, 6), [4]), ((5, 6), [4]), ((16, 32), [8])]
)
def test_views_are_those_of_the_training(weights, seen, views):
    ranges = TrainingRanges(views=seen, rotation=(0, 1), fov=(1, 2), depth=(1, 2))
    assert _views(replace(weights, seen=ranges)) == views


def test_the_command_writes_beside_the_weights(weights, smoke_run, capsys):
    assert main(["--weights", str(smoke_run.folder), "--scenes", "1"]) == 0
    rows = json.loads((smoke_run.folder / "spread.json").read_text())
    (smoke_run.folder / "spread.json").unlink()  # the folder is shared by all tests
    assert [row["path"] for row in rows] == list(PATHS) and "orbit330" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--weights", "nowhere"], "nowhere is not a folder"),
        (["--scenes", "0", "--weights", "."], "scenes=0"),
    ],
)
def test_bad_options_are_a_line(arguments, line, capsys):
    assert main(arguments) == 2
    assert line in capsys.readouterr().err
