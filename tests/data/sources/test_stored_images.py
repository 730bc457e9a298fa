"""Photos that are stored turned: what their size tells, what the other photos tell, what is said."""

import numpy as np
import pytest
from PIL import Image

from ilrm.data.images import ORIENTATION
from ilrm.data.sources.captures import read_capture
from tests.data.layouts import FRAMES, HEIGHT, LAYOUTS, WIDTH, edited

TURNED, UPSIDE_DOWN, MIRRORED = 6, 3, 2
UNSURE = "the EXIF orientation of {} photos, whose size fits their camera both ways, is ignored"


def stored(path, orientation, size):
    """A photo whose top left pixel, as it is stored, is red."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 4, : size[0] // 4] = 255, 0, 0
    Image.fromarray(pixels).save(path, exif=exif)


def capture(folder, layout, orientations, turned_size=(HEIGHT, WIDTH)):
    """A capture whose cameras have WIDTH x HEIGHT; photos that are turned have `turned_size` on the disk."""
    LAYOUTS[layout](folder)
    for i, orientation in enumerate(orientations):
        size = turned_size if orientation == TURNED else (WIDTH, HEIGHT)
        stored(folder / f"images/{i:03d}.png", orientation, size)
    return folder


def corners(scene):
    """Where the red corner of each photo is seen: 0 top left, 1 top right, 2 bottom left, 3 bottom right."""
    found = []
    for source in scene.sources:
        red = np.asarray(source.open())[..., 0]
        found.append(int(np.argmax([red[0, 0], red[0, -1], red[-1, 0], red[-1, -1]])))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_other_photos_tell_of_those_that_are_upside_down(layout, tmp_path, capsys):
    folder = capture(tmp_path / "a", layout, [1, TURNED, UPSIDE_DOWN, MIRRORED])
    scene = read_capture(folder)
    assert corners(scene) == [0, 1, 3, 1]
    said = capsys.readouterr().out
    assert "3 photos are turned upright" in said and "is ignored" not in said


@pytest.mark.parametrize("layout", ["nerfstudio", "colmap-text"])
def test_cameras_of_the_photos_as_they_are_stored(layout, tmp_path, capsys):
    """A turned photo that fits its camera as stored: so are those that are upside down."""
    folder = capture(tmp_path / "a", layout, [1, TURNED, UPSIDE_DOWN, 1], (WIDTH, HEIGHT))
    assert corners(read_capture(folder)) == [0] * FRAMES
    assert capsys.readouterr().out == ""


def test_where_nothing_tells_a_line_says_so(tmp_path, capsys):
    folder = capture(tmp_path / "a", "opencv", [1, UPSIDE_DOWN, MIRRORED, 1])
    assert corners(read_capture(folder)) == [0] * FRAMES
    assert f"capture a: {UNSURE.format(2)}" in capsys.readouterr().out


def test_square_photos_do_not_tell(tmp_path, capsys):
    folder = capture(tmp_path / "a", "opencv", [TURNED] * FRAMES, (WIDTH, WIDTH))
    edited(folder, "opencv_cameras.json", lambda v: [e.update(h=WIDTH, cy=32) for e in v["frames"]])
    assert corners(read_capture(folder)) == [0] * FRAMES
    assert UNSURE.format(FRAMES) in capsys.readouterr().out


def test_an_orientation_that_does_not_exist_is_none(tmp_path, capsys):
    folder = capture(tmp_path / "a", "opencv", [0, 9, 65535, 1])
    assert corners(read_capture(folder)) == [0] * FRAMES
    assert capsys.readouterr().out == ""
