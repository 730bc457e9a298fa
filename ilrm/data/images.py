"""Opening and decoding of image files and data, in one place: Pillow raises almost any exception on damaged
files, and reads sizes and modes that need care.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ilrm.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ppm")
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
OTHER_SUFFIXES = (*RAW, ".heic", ".heif", ".jxl", ".gif", ".exr")  # of images that are not read
MOST_PIXELS = 500_000_000  # per image: 1.5 GB in 8-bit RGB
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
LONGEST_REASON = 160  # characters

# beginnings of files that are often found in place of an image: what they are, and what to do
_OTHERS = (
    (b"version https://git-lfs", "is a Git LFS pointer: run git lfs pull"),
    (b"<!doctype html", "is a web page: the download failed, fetch the image again"),
    (b"<html", "is a web page: the download failed, fetch the image again"),
    (b"<?xml", "is an XML or SVG file: convert it to PNG"),
    (b"%pdf", "is a PDF file: convert it to PNG"),
    (b"\xff\x0a", "is a JPEG XL image: convert it to JPEG or PNG"),
    (b"\0\0\0\x0cjxl ", "is a JPEG XL image: convert it to JPEG or PNG"),
    (b"v/1\x01", "is an OpenEXR image: convert it to 8 or 16 bits, e.g. PNG"),
    (b"#?", "is a Radiance HDR image: convert it to 8 or 16 bits, e.g. PNG"),
    (b"fujifilmccd-raw", "is a camera's raw file: develop it to JPEG"),
    (b"\x1a\x45\xdf\xa3", "is a video: extract its frames"),
)
_BOXES = (  # brands of ISO media files
    ((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "is a HEIC photo: convert it to JPEG"),
    ((b"crx ",), "is a camera's raw file: develop it to JPEG"),
    ((b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"m4v "), "is a video: extract its frames"),
)


def read_size(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of an image as stored, and its EXIF orientation (1: upright).

    Raises DataError, whose message begins with the path, on what is not an image.
    """
    with _opened(path) as image:
        # Pillow would decode a whole PNG file to look for EXIF data behind its pixels
        exif = {} if image.format == "PNG" and "exif" not in image.info else image.getexif()
        return image.size, int(exif.get(ORIENTATION, 1))


def decode(source: Path | bytes, upright: bool = False) -> Image.Image:
    """Decode a file or encoded data to 8-bit RGB; with `upright`, turned as its EXIF orientation says.

    Raises DataError, whose message begins with the path or with "its image data".
    """
    with _opened(source) as image:
        return to_rgb(ImageOps.exif_transpose(image) if upright else image)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit RGB: 16-bit grey is rescaled, transparent pixels are composited over white.

    Raises OSError on floating-point or 32-bit images, whose value range is unknown.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise OSError(f"its pixels have 32 bits ({image.mode}); need 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def is_image_name(path: Path) -> bool:
    """Whether a file is an image by its suffix, and not one of the files that systems hide (`._0.png`)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """An opened image. Every failure in the block is a DataError that says what the file is instead."""
    name = str(source) if isinstance(source, Path) else f"its image data of {len(source)} bytes"
    if isinstance(source, Path) and source.suffix.lower() in RAW:
        raise DataError(f"{name} is a camera's raw file: develop it to JPEG")
    try:
        with _pixel_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata does not matter
            stream = source if isinstance(source, Path) else io.BytesIO(source)
            with Image.open(stream) as image:
                yield image
    except FileNotFoundError as error:
        raise DataError(
            f"{name} is missing: fetch the image or remove the frame from the cameras"
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} has more than {MOST_PIXELS // 1_000_000} megapixels: scale it down"
        ) from error
    except Exception as error:  # decoders raise almost anything
        raise DataError(f"{name} {_problem(source, error)}") from error


@contextmanager
def _pixel_limit() -> Iterator[None]:
    """Our limit of the image size instead of Pillow's, which warns at 89 and refuses at 179 megapixels."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _problem(source: Path | bytes, error: Exception) -> str:
    """What is wrong with a file that could not be decoded, and what to do."""
    head = _head(source)
    if head == b"":
        return "is empty: fetch it again"
    start = (head or b"").removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, words in _OTHERS:
        if start.startswith(beginning) or (head or b"").lower().startswith(beginning):
            return words
    if start[4:8] == b"ftyp":
        for brands, words in _BOXES:
            if start[8:12] in brands:
                return words
    if isinstance(error, Image.UnidentifiedImageError):
        return "is not an image: fetch it again"
    reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
    return f"cannot be decoded ({reason}): fetch it again"


def _head(source: Path | bytes) -> bytes | None:
    """The first bytes; None if the file cannot be read."""
    if isinstance(source, bytes):
        return source[:64]
    try:
        with source.open("rb") as file:
            return file.read(64)
    except OSError:
        return None
