"""Whatever is wrong with an image file is one line that says what the file is."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ilrm.data import images
from ilrm.data.images import decode, is_image_name, read_size
from ilrm.errors import DataError


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(form, size=(64, 48), **options):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(buffer, form, **options)
    return buffer.getvalue()


def huge_png(width, height):
    """A PNG file of this size whose pixels are missing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b"")


def floats():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
PNG = encoded("PNG")
NOT_READ = {
    "empty": (b"", "0.png is empty: fetch it again"),
    "text": (b"hello" * 9, "0.png is not an image: fetch it again"),
    "heic": (HEIC, "is a HEIC photo: convert it to JPEG"),
    "heic of a burst": (HEIC.replace(b"heic", b"hevx", 1), "is a HEIC photo: convert it to JPEG"),
    "damaged avif": (
        b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(99),
        "is not an image: fetch it",
    ),
    "video": (b"\0\0\0\x18ftypmp42" + bytes(99), "is a video: extract its frames"),
    "video of another brand": (b"\0\0\0\x18ftypavc1" + bytes(99), "is a video: extract its frames"),
    "avi": (b"RIFF\0\0\0\0AVI LIST" + bytes(99), "is a video: extract its frames"),
    "annex": (b"/annex/objects/SHA256E-s3--0.png\n", "is a git-annex pointer: run git annex get"),
    "32 bits": (floats(), r"its pixels have 32 bits \(mode F\): convert it to 8 or 16 bits"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        "is a Git LFS pointer: run git lfs pull",
    ),
    "web page": (b"\n<!DOCTYPE html><html>", "is a web page: the download failed"),
    "svg": (b'<?xml version="1.0"?><svg/>', "is an XML or SVG file"),
    "exr": (b"v/1\x01\2\0\0\0" + bytes(99), "is an OpenEXR image: convert it"),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "is a JPEG XL image: convert it"),
    "truncated": (PNG[:200], r"cannot be decoded \(image file is truncated.*\): fetch it again"),
    "short chunk": (
        PNG[:-12] + chunk(b"pHYs", b"\0") + PNG[-12:],
        r"cannot be decoded \(Truncated pHYs chunk\)",
    ),
    "no pixels": (huge_png(64, 48), "cannot be decoded"),
    "larger than memory": (huge_png(200_000, 200_000), "has more than 500 megapixels: scale it"),
}


@pytest.mark.parametrize("case", NOT_READ)
def test_what_is_not_an_image_is_one_line_that_says_what_it_is(case, tmp_path):
    content, message = NOT_READ[case]
    path = tmp_path / "0.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        decode(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    if content:
        with pytest.raises(DataError, match=f"its image data of {len(content)} bytes"):
            decode(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000"])
def test_damage_anywhere_is_a_data_error_or_an_image(form):
    whole = np.frombuffer(encoded(form), np.uint8)
    rng = np.random.default_rng(1)
    for _ in range(60):
        data = whole.copy()
        data[rng.integers(len(data), size=3)] = rng.integers(256, size=3)
        try:
            image = decode(data.tobytes()[: rng.integers(1, 2 * len(data))])
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert image.mode == "RGB"


def test_raw_files_are_not_taken_for_their_previews(tmp_path):
    Image.new("RGB", (16, 12)).save(tmp_path / "0.tif")
    (tmp_path / "0.tif").rename(tmp_path / "0.DNG")
    with pytest.raises(DataError, match="is a camera's raw file: develop it to JPEG"):
        read_size(tmp_path / "0.DNG")


def test_what_lies_in_place_of_an_image(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "moved.png").symlink_to(tmp_path / "disk/0.png")
    (tmp_path / "annex.png").symlink_to("../.git/annex/objects/0/SHA256E-s3--0.png")
    for name, message in (
        ("folder.png", "folder.png is a folder: remove it"),
        ("moved.png", "moved.png is a link to .*disk/0.png, which is not there: mount that disk"),
        ("annex.png", "annex.png is a link of git-annex .*: run git annex get"),
        ("none.png", "none.png is missing: fetch the image"),
    ):
        with pytest.raises(DataError, match=message):
            decode(tmp_path / name)


def test_greys_of_16_bits(tmp_path):
    """In each format that has them; 32 bits of unknown range are refused above."""
    grey = (np.arange(48 * 64).reshape(48, 64) * 20 + 3).astype(np.uint16)
    for name in ("0.png", "0.tif"):
        Image.fromarray(grey).save(tmp_path / name)
    (tmp_path / "0.pgm").write_bytes(b"P5 64 48 65535\n" + grey.astype(">u2").tobytes())
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(np.asarray(decode(path))[..., 0], np.round(grey / 257))


def test_images_above_pillow_s_own_limit_are_read(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(PNG).size == (64, 48)
    assert Image.MAX_IMAGE_PIXELS == 100 and not recwarn.list


def test_a_size_is_read_without_decoding(tmp_path, monkeypatch):
    (tmp_path / "0.png").write_bytes(huge_png(20_992, 10_496))  # 220 megapixels, which are missing
    assert read_size(tmp_path / "0.png") == ((20_992, 10_496), 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_photos_that_are_stored_turned(form, tmp_path):
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    path = tmp_path / "photo"
    path.write_bytes(encoded(form, exif=exif))
    assert read_size(path) == ((64, 48), 6)
    assert decode(path).size == (64, 48) and decode(path, upright=True).size == (48, 64)


def test_hidden_files_are_not_images(tmp_path):
    names = ["a.JPG", "b.webp", "._a.JPG", ".hidden.png", "c.txt", "d.tiff"]
    assert [name for name in names if is_image_name(tmp_path / name)] == [
        "a.JPG",
        "b.webp",
        "d.tiff",
    ]
