"""Token subsets of mini-batch cross-attention (Section 3.2, Figure 4).

In every layer, 1/r of the viewpoint tokens attend to "their corresponding image tokens" (Section 3.2): the
image tokens of the same image area, 1/r of those of the view. Figure 4 does not specify the order of the
subsets; here the phase is the layer index modulo r.
"""

import torch
from torch import Tensor

from ilrm.errors import ViewsError


def token_subset(
    rows: int, columns: int, r: int, pattern: str, layer: int, device: torch.device | None = None
) -> Tensor:
    """Indices [rows * columns / r] of the viewpoint tokens of one view that are updated in `layer`.

    `pattern`: "strided" selects a lattice (every second column; for r = 4, one of 2x2 phases), "block" a
    contiguous half or quadrant. Raises ViewsError if the grid cannot be divided evenly.
    """
    grid = torch.arange(rows * columns, device=device).view(rows, columns)
    phase = layer % r
    down, across = (phase // 2, phase % 2) if r == 4 else (0, phase)
    row_parts, column_parts = (2, 2) if r == 4 else (1, 2)
    if rows % row_parts or columns % column_parts:
        raise ViewsError(
            f"a {rows}x{columns} token grid cannot be split for minibatch={r}: "
            "use image sizes that are multiples of 2 x patch x viewpoint factor"
        )
    if pattern == "strided":
        return grid[down::row_parts, across::column_parts].flatten()
    h, w = rows // row_parts, columns // column_parts
    return grid[down * h : (down + 1) * h, across * w : (across + 1) * w].flatten()


def random_subset(rows: int, columns: int, r: int, generator: torch.Generator) -> Tensor:
    """Indices [rows * columns / r] of a random 1/r of the viewpoint tokens (Figure 4 (d)).

    Raises ViewsError if the number of tokens is not a multiple of r.
    """
    if rows * columns % r:
        raise ViewsError(
            f"{rows}x{columns} tokens are not a multiple of minibatch={r}: choose another image size"
        )
    return torch.randperm(rows * columns, generator=generator)[: rows * columns // r].sort().values


def image_tokens_under(chosen: Tensor, rows: int, columns: int, factor: int) -> Tensor:
    """Indices [n factor^2] of the image tokens that cover the same area as the viewpoint tokens `chosen` [n].

    The viewpoint grid is rows x columns; the image grid is `factor` times finer along each side.
    """
    fine = torch.arange(rows * columns * factor**2, device=chosen.device)
    by_token = fine.view(rows, factor, columns, factor).transpose(1, 2).flatten(2).flatten(0, 1)
    return by_token[chosen].flatten()  # [rows * columns, f * f] -> [n f f]
