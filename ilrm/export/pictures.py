"""Renders as pictures: sheets of images, and depth maps in colour."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL = 160  # pixels; longer side of an image in a sheet
PER_LINE = 8  # images in a line of a strip
GAP = 4  # pixels between images
TEXT = 14  # pixels, size of text


def to_image(image: Float[Tensor, "3 H W"]) -> Image.Image:
    """Convert to an 8-bit image, with values clipped to [0, 1]."""
    array = (image.detach().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(array.permute(1, 2, 0).contiguous().numpy())


def depth_image(
    depth: Float[Tensor, "H W"], limits: tuple[float, float] | None = None
) -> Image.Image:
    """Depth map in colour, from bright (near) to dark (far), on a log scale between `limits` (by default, the
    2nd and 98th percentiles). Pixels without depth are white.
    """
    import matplotlib

    values = depth.detach().cpu().double().numpy()
    known = values > 0
    near, far = limits or depth_limits(depth)
    share = np.log(np.clip(values, near, far) / near) / max(np.log(far / near), 1e-6)
    colors = matplotlib.colormaps["magma"](1 - share)[..., :3]
    colors[~known] = 1.0
    return Image.fromarray((255 * colors).round().astype(np.uint8))


def depth_limits(depth: Float[Tensor, "*b"]) -> tuple[float, float]:
    """2nd and 98th percentile of all depths above 0."""
    known = depth[depth > 0].detach().cpu().double().numpy()
    if not known.size:
        return 1.0, 2.0
    near, far = np.percentile(known, [2, 98])
    return float(near), float(max(far, near * 1.001))


def table(columns: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """Arrange images of one size in columns below their headings, on a white background."""
    font = ImageFont.load_default(TEXT)
    top = (TEXT + GAP) * max(heading.count("\n") + 1 for heading in columns)
    shown = {heading: [enlarged(image) for image in images] for heading, images in columns.items()}
    width, height = next(iter(shown.values()))[0].size
    words = [line for heading in columns for line in heading.splitlines()]
    column = max(width, *(round(font.getlength(line)) for line in words)) + GAP
    rows = max(len(images) for images in shown.values())
    size = (len(shown) * column - GAP, top + rows * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    drawing = ImageDraw.Draw(sheet)
    for c, (heading, images) in enumerate(shown.items()):
        left, centre = c * column + (column - GAP - width) // 2, c * column + (column - GAP) // 2
        drawing.text((centre, 0), heading, fill="black", font=font, anchor="ma", align="center")
        for r, image in enumerate(images):
            sheet.paste(image, (left, top + r * (height + GAP)))
    return sheet


def strip(images: Sequence[Image.Image], width: int) -> Image.Image:
    """Images of one size in lines of at most PER_LINE, as large as in a table or as the width allows."""
    count = min(len(images), PER_LINE)
    large = enlarged(images[0])
    across = min(large.width, (width + GAP) // count - GAP)
    cell = (across, round(large.height * across / large.width))
    lines = math.ceil(len(images) / count)
    sheet = Image.new("RGB", (width, lines * (cell[1] + GAP) - GAP), "white")
    for i, image in enumerate(images):
        row, place = divmod(i, count)
        scaled = enlarged(image).resize(cell, Image.Resampling.LANCZOS)
        sheet.paste(scaled, (place * (cell[0] + GAP), row * (cell[1] + GAP)))
    return sheet


def stacked(parts: Mapping[str, Image.Image]) -> Image.Image:
    """Parts of a picture below each other, each below its heading."""
    font = ImageFont.load_default(TEXT)
    above = 2 * TEXT
    height = sum(part.height + above for part in parts.values())
    sheet = Image.new("RGB", (max(part.width for part in parts.values()), height), "white")
    drawing, y = ImageDraw.Draw(sheet), 0
    for heading, part in parts.items():
        drawing.text((0, y + above // 2), heading, fill="black", font=font, anchor="lm")
        sheet.paste(part, (0, y + above))
        y += above + part.height
    return sheet


def enlarged(image: Image.Image) -> Image.Image:
    """An image of about CELL pixels; a smaller one is enlarged without smoothing."""
    factor = max(1, round(CELL / max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def mosaic(images: Sequence[Image.Image]) -> Image.Image:
    """Arrange images of one size in a square grid with their aspect ratio, vertically centred on white."""
    width, height = images[0].size
    columns = math.ceil(math.sqrt(len(images)))
    empty = columns - math.ceil(len(images) / columns)  # rows
    side = (columns * (width + 1) - 1, columns * (height + 1) - 1)
    sheet = Image.new("RGB", side, (255, 255, 255))
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        sheet.paste(image, (column * (width + 1), row * (height + 1) + empty * (height + 1) // 2))
    return sheet
