"""Text files of COLMAP as editors and other systems write them."""

import codecs

import pytest
import torch

from ilrm.data.sources.captures import read_capture
from tests.data.layouts import FRAMES, colmap, poses

WRITTEN = {
    "byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big-endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "line ends of old Macs": lambda text: text.replace("\n", "\r").encode(),
    "indented comments": lambda text: text.replace("#", "  #").encode(),
    "tabs": lambda text: text.replace(" ", "\t").encode(),
    "blanks at the end": lambda text: text.replace("\n", "  \n").encode(),
    "comments at the end": lambda text: (text + "# the end\n").encode(),
}


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("case", WRITTEN)
def test_text_of_other_systems(name, case, tmp_path):
    folder = colmap(tmp_path / "a", binary=False)
    path = folder / f"sparse/0/{name}.txt"
    path.write_bytes(WRITTEN[case](path.read_text()))
    scene = read_capture(folder)
    torch.testing.assert_close(scene.c2w, torch.from_numpy(poses()), atol=1e-5, rtol=0)
    assert len(scene) == FRAMES and scene.points.positions.shape == (5, 3)


def test_whole_paths_among_the_names_do_not_change_the_order(tmp_path):
    """Hold-outs are chosen by it."""
    folder = colmap(tmp_path / "a", binary=False)
    path = folder / "sparse/0/images.txt"
    text = path.read_text().replace("000.png", str(folder / "images/000.png"))
    path.write_text(text.replace("002.png", "C:\\scan\\a\\images\\002.png"))
    assert read_capture(folder).names == [f"{i:03d}.png" for i in range(FRAMES)]
