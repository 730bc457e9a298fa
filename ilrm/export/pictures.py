"""Renders as pictures: grids of images, and depth maps in colour."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ilrm.evaluation.baselines import nearest_view
from ilrm.rendering import Rendering
from ilrm.views import Batch

SHOWN = 6  # images per row
CELL = 160  # pixels; smaller images are enlarged without smoothing
LABEL = 14  # pixels, size of text


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


def grid(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """Arrange images of one size in labelled rows, on a white background. Rows without a label go on with the
    row above.
    """
    width, height = rows[0][1][0].size
    factor = max(1, round(CELL / max(width, height)))
    cell, gap = (width * factor, height * factor), 4
    columns = max(len(images) for _, images in rows)
    font = ImageFont.load_default(LABEL)
    margin = max(round(font.getlength(label)) for label, _ in rows) + 3 * gap
    size = (
        margin + columns * (cell[0] + gap) - gap,
        len(rows) * (cell[1] + gap) - gap,
    )
    sheet = Image.new("RGB", size, "white")
    drawing = ImageDraw.Draw(sheet)
    for r, (label, images) in enumerate(rows):
        top = r * (cell[1] + gap)
        drawing.text((gap, top + cell[1] // 2), label, fill="black", font=font, anchor="lm")
        for c, image in enumerate(images):
            large = image.resize(cell, Image.Resampling.NEAREST)
            sheet.paste(large, (margin + c * (cell[0] + gap), top))
    return sheet


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


def comparison(batch: Batch, rendering: Rendering) -> Image.Image:
    """All input views of the first scene of a batch; some of its targets, their nearest input views, renders
    and depth.
    """
    shown = evenly(batch.targets.images.shape[1])
    inputs = [to_image(image) for image in batch.inputs.images[0]]
    lines = [inputs[i : i + SHOWN] for i in range(0, len(inputs), SHOWN)]
    rows = [("" if n else "input views", line) for n, line in enumerate(lines)]
    nearest = nearest_view(batch)
    for label, images in (
        ("held out", batch.targets.images),
        ("nearest input", nearest),
        ("render", rendering.images),
    ):
        rows.append((label, [to_image(images[0, i]) for i in shown]))
    if rendering.depths is not None:
        limits = depth_limits(rendering.depths[0])
        rows.append(("depth", [depth_image(rendering.depths[0, i, 0], limits) for i in shown]))
    return grid(rows)


def evenly(count: int) -> list[int]:
    """Indices of at most SHOWN of `count` items, evenly spaced."""
    return torch.linspace(0, count - 1, min(count, SHOWN)).round().int().tolist()
