"""What a comparison shows: every input, held-out photos beside baselines, the model and its depth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ilrm.cameras import Normalization
from ilrm.export.comparison import ROWS, Comparison
from ilrm.export.pictures import PER_LINE, stacked, strip, table
from ilrm.rendering import Rendering
from ilrm.views import Batch, Views
from tests.helpers import some_cameras

INPUT, TRUTH, MODEL, REFINED = 0.2, 0.4, 0.6, 0.4


def flat(value, views, side=16):
    images = torch.full((1, views, 3, side, side), value)
    return Views(images, some_cameras(batch=1, views=views, height=side, width=side))


@pytest.fixture
def batch():
    """20 dark inputs, 8 brighter targets."""
    identity = Normalization(torch.eye(4)[None], torch.ones(1))
    return Batch(flat(INPUT, 20), flat(TRUTH, 8), identity)


def rendering(value, views=8, side=16):
    depths = torch.linspace(1, 9, side).expand(1, views, 1, side, side)
    return Rendering(images=flat(value, views).images, alphas=depths / 9, depths=depths)


def shades(image):
    """Grey values of an image and how many pixels have each."""
    pixels = np.asarray(image).reshape(-1, 3)
    values, counts = np.unique(pixels[(pixels == pixels[:, :1]).all(1), 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_quality_is_that_of_all_held_out_photos(batch):
    drawn = {"model": rendering(MODEL), "refined": rendering(REFINED)}
    found = Comparison.of(batch, 0.5, drawn).psnr
    assert list(found) == ["nearest input view", "plane warp", "plane sweep", "model", "refined"]
    assert found["nearest input view"] == pytest.approx(-20 * np.log10(TRUTH - INPUT), abs=0.01)
    assert found["model"] == pytest.approx(-20 * np.log10(MODEL - TRUTH), abs=0.01)
    assert found["refined"] == 100
    images = rendering(TRUTH).images.clone()
    images[0, 3] = 0  # one bad photo of eight
    found = Comparison.of(batch, 0.5, {"model": replace(rendering(TRUTH), images=images)}).psnr
    assert found["model"] == pytest.approx((7 * 100 - 20 * np.log10(TRUTH)) / 8, abs=0.01)


def test_all_inputs_and_some_held_out_photos_are_drawn(batch):
    drawn = {"model": rendering(MODEL)}
    sheet = Comparison.of(batch, 0.5, drawn).draw()
    side = 160  # 16 pixels ten times enlarged
    seen = shades(sheet)
    assert seen[round(255 * TRUTH)] >= ROWS * side**2 and seen[round(255 * MODEL)] >= ROWS * side**2
    one = strip([Image.new("RGB", (16, 16), (51, 51, 51))], sheet.width)
    lines = strip([Image.new("RGB", (16, 16), (51, 51, 51))] * 20, sheet.width)
    assert shades(one)[51] == side**2  # not larger than in the table
    cell = (sheet.width + 4) // PER_LINE - 4
    assert shades(lines)[51] == 20 * cell**2 and lines.height == 3 * (cell + 4) - 4
    assert seen[51] >= shades(lines)[51]  # and the copied photo


def test_columns_are_as_wide_as_their_headings():
    image = Image.new("RGB", (10, 40), "black")
    narrow, wide = (
        table({heading: [image]}) for heading in ("a", "a heading of many words\nand more")
    )
    assert narrow.width == 40 < 150 < wide.width and narrow.height < wide.height
    black = (np.asarray(wide)[-160:] == 0).all(-1).any(0)
    assert black.sum() == 40 and abs(int(np.flatnonzero(black).mean()) - wide.width // 2) <= 1
    sheet = stacked({"one": narrow, "two": wide})
    assert sheet.width == wide.width and sheet.height > narrow.height + wide.height
