"""Token subsets of mini-batch cross-attention (Section 3.2, Figure 4).

In every layer, 1/r of the viewpoint tokens attend to 1/r of the image tokens of their view. The
drawings of Figure 4 leave the order open: here the phase is the layer index modulo r, the same on
both grids.
"""

import torch
from torch import Tensor

from ilrm.errors import ViewsError


def token_subset(
    rows: int, columns: int, r: int, pattern: str, layer: int, device: torch.device | None = None
) -> Tensor:
    """Indices [rows * columns / r] of the tokens of one view's grid that take part in `layer`.

    `pattern`: "strided" keeps a lattice (alternate columns; for r = 4 one of 2x2 phases), "block"
    a contiguous half or quadrant. Raises ViewsError if the grid cannot be divided.
    """
    grid = torch.arange(rows * columns, device=device).view(rows, columns)
    phase = layer % r
    down, across = (phase // 2, phase % 2) if r == 4 else (0, phase)
    row_parts, column_parts = (2, 2) if r == 4 else (1, 2)
    if rows % row_parts or columns % column_parts:
        raise ViewsError(
            f"a {rows}x{columns} token grid cannot be split for minibatch={r}: "
            "use image sides that are multiples of 2 x patch x viewpoint factor"
        )
    if pattern == "strided":
        return grid[down::row_parts, across::column_parts].flatten()
    h, w = rows // row_parts, columns // column_parts
    return grid[down * h : (down + 1) * h, across * w : (across + 1) * w].flatten()


def random_subset(
    rows: int, columns: int, r: int, factor: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A random 1/r of the viewpoint tokens, and the image tokens that they cover.

    The viewpoint grid is rows x columns, the image grid `factor` times finer along each side.
    Returns indices [rows * columns / r] and [rows * columns * factor^2 / r] (Figure 4 (d)).
    """
    if rows * columns % r:
        raise ViewsError(f"{rows}x{columns} tokens are not a multiple of minibatch={r}")
    count = rows * columns // r
    chosen = torch.randperm(rows * columns, generator=generator)[:count].sort().values  # [n]
    fine = torch.arange(rows * columns * factor**2).view(rows, factor, columns, factor)
    covered = fine.permute(0, 2, 1, 3).reshape(rows * columns, factor**2)[chosen]  # [n, f * f]
    return chosen, covered.flatten()
