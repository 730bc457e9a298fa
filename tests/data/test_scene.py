"""Frames to the model's size: the three rules, and intrinsics that follow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ilrm.data.framing import Framing
from ilrm.data.scene import EncodedImage, Scene
from ilrm.errors import DataError

STORED = (72, 128)  # height, width
FXFYCXCY = torch.tensor([[70.0, 65.0, 60.0, 35.0]])


def scene_with_a_dot(row: int, column: int) -> Scene:
    """One black frame with a white dot around the corner of four pixels."""
    image = Image.new("RGB", STORED[::-1])
    image.paste((255, 255, 255), (column - 4, row - 4, column + 4, row + 4))
    return scene_of(image)


def scene_of(image: Image.Image, size: tuple[int, int] = STORED) -> Scene:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    source = EncodedImage(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8))
    return Scene("a", FXFYCXCY, torch.eye(4)[None], [source], [size], ["one.png"])


@pytest.mark.parametrize(
    "framing",
    [
        *(Framing(h, w) for h, w in [(32, 32), (18, 64), (36, 64), (72, 80), (17, 13)]),
        *(Framing(h, w, "crop") for h, w in [(72, 128), (41, 64), (60, 99)]),
        *(Framing(h, w, "stretch") for h, w in [(36, 128), (80, 40)]),
    ],
)
def test_a_point_is_seen_where_the_intrinsics_project_it(framing):
    row, column = 40, 60
    point = torch.tensor([(column - 60) / 70, (row - 35) / 65])  # at z = 1
    images, intrinsics = scene_with_a_dot(row, column).frames([0], framing)
    assert images.shape == (1, 3, framing.height, framing.width)
    f, c = intrinsics[0, :2], intrinsics[0, 2:]
    x, y = (point * f + c).tolist()
    weight = images[0].mean(0)
    weight = weight * (weight > 0.2)
    rows, columns = (torch.arange(n) + 0.5 for n in images.shape[-2:])
    ys, xs = torch.meshgrid(rows, columns, indexing="ij")
    assert abs((weight * xs).sum() / weight.sum() - x) < 0.3
    assert abs((weight * ys).sum() / weight.sum() - y) < 0.3


def test_dl3dv_sizes():
    """256x448 is cut out of 270x480; 544x960 is 540x960 stretched: only then fy changes."""
    assert Framing(256, 448, "crop").scaled_size(270, 480) == (270, 480)
    assert Framing(256, 448, "cover").scaled_size(270, 480) != (270, 480)
    assert Framing(544, 960, "stretch").scaled_size(540, 960) == (544, 960)


def test_an_image_too_small_for_a_crop():
    with pytest.raises(DataError, match=r"one\.png: 72x128 pixels cannot be cropped to 80x64"):
        scene_with_a_dot(40, 60).frames([0], Framing(80, 64, "crop"))


def test_an_image_of_another_size_than_its_camera():
    with pytest.raises(DataError, match=r"one\.png: image of 72x128 pixels, but its camera 36x64"):
        scene_of(Image.new("RGB", STORED[::-1]), size=(36, 64)).frames([0], Framing(16, 16))


def test_sixteen_bits_of_grey_keep_their_tones():
    ramp = np.linspace(0, 65535, 72 * 128).round().reshape(STORED)
    images, _ = scene_of(Image.fromarray(ramp.astype(np.uint16))).frames([0], Framing(*STORED))
    wanted = torch.from_numpy(ramp / 65535).float().expand(3, -1, -1)
    torch.testing.assert_close(images[0], wanted, atol=0.5 / 255 + 1e-6, rtol=0)


def test_transparent_pixels_are_white():
    image = Image.new("RGBA", STORED[::-1], (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (0, 0, 64, 72))  # the colours below full transparency are arbitrary
    images, _ = scene_of(image).frames([0], Framing(*STORED))
    assert images[0, :, :, :64].min() == 1.0
    assert images[0, :, :, 64:].mean((1, 2)).tolist() == [1.0, 0.0, 0.0]


def test_pixels_without_a_known_white_are_refused():
    image = Image.fromarray(np.full(STORED, 70_000, np.int32))
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    source = EncodedImage(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8))
    scene = Scene("a", FXFYCXCY, torch.eye(4)[None], [source], [STORED], ["one.tif"])
    with pytest.raises(DataError, match=r"its pixels have 32 bits"):
        scene.frames([0], Framing(16, 16))


def test_a_file_that_is_no_image():
    source = EncodedImage(torch.zeros(10, dtype=torch.uint8))
    scene = Scene("a", FXFYCXCY, torch.eye(4)[None], [source], [STORED], ["one.png"])
    with pytest.raises(DataError, match=r"one\.png: its image data of 10 bytes is not an image"):
        scene.frames([0], Framing(16, 16))
