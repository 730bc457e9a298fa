"""Opening and decoding of image files and data.

This is done in one place because Pillow raises almost any exception on damaged files, and because some sizes
and modes need special treatment.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ilrm.errors import DataError
from ilrm.system.found_instead import describe_content, describe_path, first_bytes, normalised_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ppm")
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
OTHER_SUFFIXES = (*RAW, ".heic", ".heif", ".jxl", ".gif", ".exr")  # image formats that are not read
MOST_PIXELS = 500_000_000  # per image: 1.5 GB in 8-bit RGB
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
LONGEST_REASON = 160  # characters

# first bytes of other files found in place of an image, what they are, and what to do
_OTHERS = (
    (b"<?xml", "is an XML or SVG file: fetch the image again, or convert it to PNG"),
    (b"<svg", "is an SVG file: convert it to PNG"),
    (b"%pdf", "is a PDF file: convert it to PNG"),
    (b"\xff\x0a", "is a JPEG XL image: convert it to JPEG or PNG"),
    (b"\0\0\0\x0cjxl ", "is a JPEG XL image: convert it to JPEG or PNG"),
    (b"v/1\x01", "is an OpenEXR image: convert it to 8 or 16 bits, e.g. PNG"),
    (b"#?", "is a Radiance HDR image: convert it to 8 or 16 bits, e.g. PNG"),
    (b"8bps", "is a Photoshop file: export it as PNG"),
    (b"\x93numpy", "is a NumPy array: save it as an image, e.g. PNG"),
    (b"fujifilmccd-raw", "is a camera's raw file: develop it to JPEG"),
    (b"\x1a\x45\xdf\xa3", "is a video: extract its frames"),
)
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


def read_size(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of an image as stored, and its EXIF orientation (1: upright).

    Raises DataError, whose message begins with the path, on what is not an image.
    """
    with _opened(path) as image:
        # Pillow would decode a whole PNG file to look for EXIF data behind its pixels
        exif = {} if image.format == "PNG" and "exif" not in image.info else image.getexif()
        return image.size, int(exif.get(ORIENTATION, 1))


def decode(source: Path | bytes, upright: bool = False) -> Image.Image:
    """Decode a file or encoded data to 8-bit RGB; with `upright`, rotated by its EXIF orientation.

    Raises DataError, whose message begins with the path or with "its image data".
    """
    with _opened(source) as image:
        return to_rgb(ImageOps.exif_transpose(image) if upright else image)


class _ValuesError(OSError):
    """Pixels whose range of values is unknown."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit RGB: 16-bit grey is rescaled, transparent pixels are composited over white.

    Raises OSError on floating-point or 32-bit images, whose value range is unknown.
    """
    sixteen = image.mode == "I" and image.format == "PPM"  # which Pillow scales to 0..65535
    if image.mode.startswith("I;16") or sixteen:
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise _ValuesError(
            f"its pixels have 32 bits (mode {image.mode}): convert it to 8 or 16 bits, e.g. PNG"
        )
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def is_image_name(path: Path) -> bool:
    """Whether a file is an image by its suffix, and not a hidden file of the system (`._0.png`)."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """Open an image. Every failure in the block becomes a DataError that says what the file is instead."""
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
        words = describe_path(source) if isinstance(source, Path) else None
        words = words or "is missing: fetch the image or remove the frame from the cameras"
        raise DataError(f"{name} {words}") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} has more than {MOST_PIXELS // 1_000_000} megapixels: scale it down"
        ) from error
    except _ValuesError as error:
        raise DataError(f"{name}: {error}") from error
    except Exception as error:  # decoders raise almost anything
        raise DataError(f"{name} {_problem(source, error)}") from error


@contextmanager
def _pixel_limit() -> Iterator[None]:
    """Replace Pillow's limit of the image size, which warns at 89 and refuses at 179 megapixels, by ours."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _problem(source: Path | bytes, error: Exception) -> str:
    """What is wrong with a file that could not be decoded, and what to do."""
    if isinstance(source, Path) and (words := describe_path(source)) is not None:
        return words
    head = first_bytes(source) if isinstance(source, Path) else source[:64]
    if head is None:
        return f"cannot be read ({_reason(error)}): check its permissions and its disk"
    if head == b"":
        return "is empty: fetch it again"
    if (words := _other_kind(head) or describe_content(head)) is not None:
        return words
    if isinstance(error, Image.UnidentifiedImageError):
        return "is not an image: fetch it again"
    return f"cannot be decoded ({_reason(error)}): fetch it again"


def _other_kind(head: bytes) -> str | None:
    """What a file is by its first bytes, if it is not an image in a supported format."""
    for begins, words in _OTHERS:
        if normalised_text(head).startswith(begins) or head.lower().startswith(begins):
            return words
    if head[4:8] == b"ftyp" and b"avif" not in head and b"avis" not in head:
        if head[8:12] in HEIC:
            return "is a HEIC photo: convert it to JPEG"
        if head[8:12] == b"crx ":
            return "is a camera's raw file: develop it to JPEG"
        return "is a video: extract its frames"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "is a video: extract its frames"
    return None


def _reason(error: Exception) -> str:
    message = error.strerror if isinstance(error, OSError) else None
    return " ".join((message or str(error)).split())[:LONGEST_REASON] or type(error).__name__
