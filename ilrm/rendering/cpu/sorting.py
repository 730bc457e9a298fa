"""Depth order of the splats, and the list of splats of each tile.

A piece is the overlap of a splat with a tile. Pieces have two orders: by tile and depth, in which they are
composited, and by splat, in which their gradients are stored and summed.
"""

import math

import numpy as np

from ilrm.rendering.cpu.threads import jit

TILE = 32  # pixels per side
DIGIT = 11  # bits per radix sort pass; three passes for 32-bit keys


@jit
def _sort_by_depth(depths, radii, keys, order, spare_keys, spare_order):
    """Stable radix sort of the visible splats, ties by index. Returns (number of visible splats, order)."""
    visible = 0
    for n in range(depths.shape[0]):
        if radii[n, 0] > 0:
            keys[visible], order[visible] = depths[n], n  # positive floats sort like their bits
            visible += 1
    bits, spare_bits = keys.view(np.uint32), spare_keys.view(np.uint32)
    counts = np.empty(1 << DIGIT, np.int64)
    mask = np.uint32((1 << DIGIT) - 1)
    for shift in range(0, 32, DIGIT):
        counts[:] = 0
        for m in range(visible):
            counts[(bits[m] >> np.uint32(shift)) & mask] += 1
        total = 0
        for digit in range(1 << DIGIT):
            total, counts[digit] = total + counts[digit], total
        for m in range(visible):
            place = counts[(bits[m] >> np.uint32(shift)) & mask]
            spare_bits[place], spare_order[place] = bits[m], order[m]
            counts[(bits[m] >> np.uint32(shift)) & mask] += 1
        bits, spare_bits = spare_bits, bits
        order, spare_order = spare_order, order
    return visible, order


@jit
def _tile_range(splat, radii, tiles_x, tiles_y):
    """Tiles that a splat overlaps: (first column, last column + 1, first row, last row + 1)."""
    return (
        max(0, math.floor((splat[0] - radii[0]) * (1.0 / TILE))),
        min(tiles_x, math.floor((splat[0] + radii[0]) * (1.0 / TILE)) + 1),
        max(0, math.floor((splat[1] - radii[1]) * (1.0 / TILE))),
        min(tiles_y, math.floor((splat[1] + radii[1]) * (1.0 / TILE)) + 1),
    )


@jit
def count_pieces(
    start, stop, splats, depths, radii, tiles_x, tiles_y, order, visible, per_tile, first_piece
):
    """Sort the splats of the images in the range, and count pieces per tile [I, T] and pieces before each
    splat [I, N + 1].
    """
    count = depths.shape[1]
    keys, spare_keys = np.empty(count, np.float32), np.empty(count, np.float32)
    places, spare_places = np.empty(count, np.int32), np.empty(count, np.int32)
    for i in range(start, stop):
        visible[i], ordered = _sort_by_depth(
            depths[i], radii[i], keys, places, spare_keys, spare_places
        )
        order[i, : visible[i]] = ordered[: visible[i]]
        per_tile[i] = 0
        pieces = 0
        for n in range(count):
            first_piece[i, n] = pieces
            if radii[i, n, 0] > 0:
                x0, x1, y0, y1 = _tile_range(splats[i, n], radii[i, n], tiles_x, tiles_y)
                pieces += max(0, x1 - x0) * max(0, y1 - y0)
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        per_tile[i, y * tiles_x + x] += 1
        first_piece[i, count] = pieces


@jit
def fill_tiles(
    start, stop, splats, radii, tiles_x, tiles_y, order, visible,
    tile_start,  # [I * T + 1] first entry of each tile
    first_piece,  # [I, N + 1]
    tile_splats, tile_pieces,  # out [P]: index of the splat and of the piece, by tile and depth
):  # fmt: skip
    """Write the depth-ordered splat lists of all tiles of the images in the range."""
    tiles = tiles_x * tiles_y
    ends = np.empty(tiles, np.int64)
    for i in range(start, stop):
        ends[:] = tile_start[i * tiles : (i + 1) * tiles]
        for m in range(visible[i]):
            n = order[i, m]
            x0, x1, y0, y1 = _tile_range(splats[i, n], radii[i, n], tiles_x, tiles_y)
            piece = first_piece[i, n]
            for y in range(y0, y1):
                for x in range(x0, x1):
                    entry = ends[y * tiles_x + x]
                    tile_splats[entry], tile_pieces[entry] = n, piece
                    ends[y * tiles_x + x] += 1
                    piece += 1
