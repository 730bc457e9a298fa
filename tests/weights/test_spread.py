"""Quality by spread: interpolated, written and read back, refused where it is damaged."""

import json

import pytest
import torch

from ilrm.cameras import Cameras
from ilrm.errors import WeightsError
from ilrm.weights.spread import FILE, Spread, SpreadRow, spacing
from ilrm.weights.state import PACKAGED, read_weights
from tests.helpers import rotation_about_y

ROWS = [
    SpreadRow("re10k", 8, 16, 4.0, 22.0, 25.0),
    SpreadRow("orbit120", 8, 16, 14.0, 18.0, 20.0),
    SpreadRow("orbit330", 8, 16, 34.0, 15.0, 17.0),
    SpreadRow("re10k", 2, 16, 30.0, 17.0, 16.0),
]


def cameras(degrees):
    c2w = torch.eye(4).repeat(len(degrees), 1, 1)
    c2w[:, :3, :3] = rotation_about_y(torch.deg2rad(torch.tensor(degrees)))
    return Cameras(torch.ones(len(degrees), 4), c2w, 8, 8)


def test_spacing_is_the_mean_angle_to_the_nearest_other_view():
    assert spacing(cameras([0.0, 10.0, 30.0])) == pytest.approx((10 + 10 + 20) / 3, abs=1e-4)
    assert spacing(cameras([-170.0, 170.0])) == pytest.approx(20, abs=1e-4)
    assert spacing(cameras([0.0, 0.0])) == pytest.approx(0, abs=0.01)


def test_what_is_expected_is_interpolated_and_held_beyond_the_ends():
    spread = Spread(ROWS)
    assert spread.at(8, 9.0).psnr == pytest.approx(20.0)
    assert spread.at(8, 9.0).plane_warp == pytest.approx(22.5)
    assert spread.at(8, 1.0).psnr == 22.0 and spread.at(8, 90.0).psnr == 15.0
    assert spread.at(12, 34.0).psnr == 15.0  # with the nearest number of views
    assert spread.at(3, 90.0).psnr == 17.0
    assert spread.best(8).path == "re10k"


def test_between_two_measured_numbers_of_views_the_larger_counts():
    """Three views around a thing are far apart, which two views of a walk do not show."""
    between = Spread([*ROWS, SpreadRow("re10k", 4, 16, 9.0, 22.0, 22.5)])
    assert between.best(3).spacing == 9.0


def test_written_and_read_back(tmp_path):
    Spread(ROWS).write(tmp_path)
    assert Spread.read(tmp_path) == Spread(ROWS)
    assert Spread.read(tmp_path / "other") is None


@pytest.mark.parametrize(
    "text",
    ["[]", "{", "[1]", '{"a": 1}', json.dumps([{"path": "a"}]),
     json.dumps([{"path": "a", "views": 8, "scenes": 1, "spacing": None, "psnr": 1, "plane_warp": 2}]),
     json.dumps([{"path": "a", "views": 8, "scenes": 1, "spacing": "x", "psnr": 1, "plane_warp": 2}])],
)  # fmt: skip
def test_a_damaged_file_is_one_line(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(WeightsError, match=r"spread\.json.*: delete it"):
        Spread.read(tmp_path)


def test_the_packaged_weights_have_it():
    """Wider views are worse, and the numbers of views are those of the training."""
    weights = read_weights(PACKAGED / "ilrm-small")
    assert {row.views for row in weights.spread.rows} == {2, 4, 8}
    assert (
        weights.spread.at(8, 4.0).psnr
        > weights.spread.at(8, 14.0).psnr
        > weights.spread.at(8, 33.0).psnr
    )
