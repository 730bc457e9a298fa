"""Front-to-back alpha compositing of splats over 32 x 32 pixel tiles, forward and backward.

A tile is composited splat by splat: for each row, the span of pixels inside the ellipse is computed and
processed in blocks of 8 pixels with vector instructions. The state of a tile is one flat float32 buffer of
planes at fixed offsets, so that the compiler can rule out aliasing.
"""

import math

import numpy as np

from ilrm.rendering.cpu.projection import (
    COLOR,
    CONIC_XX,
    CONIC_XY,
    CONIC_YY,
    CUTOFF,
    GRADIENT_COLOR,
    INV_VAR_Y,
    MEAN_X,
    MEAN_Y,
    OPACITY,
)  # fmt: skip
from ilrm.rendering.cpu.sorting import TILE
from ilrm.rendering.cpu.threads import jit
from ilrm.rendering.cpu.vectors import LANES, exp, load, minimum, ramp, select, splat, store, total

PITCH = TILE + LANES  # row length of a plane; a block may extend past the right edge
PLANE = TILE * PITCH
CHECK_EVERY = 64  # number of splats between checks whether a tile is finished

f32 = np.float32
ZERO, HALF, ONE = f32(0.0), f32(0.5), f32(1.0)
ALPHA_MIN = f32(1.0 / 255.0)
TRANSMITTANCE_MIN = f32(1e-4)
SLACK = f32(0.01)  # pixels, margin for rounding errors; alpha decides which pixels count
NEVER = f32(2.0**24)  # marks unfinished pixels; larger than any position in a tile's list


@jit
def _span(middle, square, first, last):
    """Integers within sqrt(square) of `middle`, clipped to [first, last), as (start, stop)."""
    if square < ZERO:
        return first, first
    # + 1 makes int() a ceiling for the start, and gives the exclusive stop
    reach, middle = math.sqrt(square) + SLACK, middle + ONE
    return max(first, int(max(middle - reach, ZERO))), min(last, int(max(middle + reach, ZERO)))


@jit
def composite(
    start, stop,  # range of flattened (image, tile) pairs
    splats,  # [I, N, 8 + D]
    tile_start, tile_splats,  # [I * T + 1], [P]
    backgrounds,  # [I, D]
    tiles_x, tiles_y, alpha_max,
    image, transmittance, finished,  # out: [I, H, W, D], [I, H, W], [I, H, W] position in list
):  # fmt: skip
    """Composite the tiles in the range."""
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    tiles = tiles_x * tiles_y
    state = np.empty((2 + channels) * PLANE, np.float32)  # transmittance, finished, channels
    for unit in range(start, stop):
        i, tile = unit // tiles, unit % tiles
        left, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        right, bottom = min(left + TILE, width), min(top + TILE, height)
        state[:PLANE] = ONE
        state[PLANE : 2 * PLANE] = NEVER
        state[2 * PLANE :] = ZERO
        first, last = tile_start[unit], tile_start[unit + 1]
        for entry in range(first, last):
            place = f32(entry - first)
            if (entry - first + 1) % CHECK_EVERY == 0 and _is_finished(
                state, bottom - top, right - left
            ):
                break
            row = splats[i, tile_splats[entry]]
            cxx, cxy, cyy, opacity = row[CONIC_XX], row[CONIC_XY], row[CONIC_YY], row[OPACITY]
            shear, reach = cxy / cxx, row[CUTOFF] / cxx
            shrink = row[INV_VAR_Y] / cxx
            y0, y1 = _span(row[MEAN_Y] - HALF, row[CUTOFF] / row[INV_VAR_Y], top, bottom)
            for y in range(y0, y1):
                dy = f32(y) + HALF - row[MEAN_Y]
                middle = row[MEAN_X] - HALF - shear * dy
                x0, x1 = _span(middle, reach - shrink * dy * dy, left, right)
                across, along = cxy * dy, HALF * cyy * dy * dy
                for x in range(x0, x1, LANES):
                    base = (y - top) * PITCH + (x - left)
                    before, end = load(state, base), load(state, PLANE + base)
                    dx = ramp() + (f32(x) + HALF - row[MEAN_X])
                    sigma = dx * (dx * (HALF * cxx) + across) + along
                    alpha = minimum(exp(ZERO - sigma) * opacity, alpha_max)
                    after = before * (ONE - alpha)
                    hit = (alpha >= ALPHA_MIN) & (sigma >= ZERO) & (end >= NEVER)
                    adds = hit & (after > TRANSMITTANCE_MIN)
                    stops = hit & (after <= TRANSMITTANCE_MIN)
                    weight = select(adds, alpha * before, splat(ZERO))
                    store(state, base, select(adds, after, before))
                    store(state, PLANE + base, select(stops, splat(place), end))
                    for d in range(channels):
                        plane = (2 + d) * PLANE + base
                        store(state, plane, load(state, plane) + weight * row[COLOR + d])
        for y in range(top, bottom):
            for x in range(left, right):
                base = (y - top) * PITCH + (x - left)
                transmittance[i, y, x] = state[base]
                finished[i, y, x] = state[PLANE + base]
                for d in range(channels):
                    image[i, y, x, d] = (
                        state[(2 + d) * PLANE + base] + state[base] * backgrounds[i, d]
                    )


@jit
def _is_finished(state, rows, columns):
    for y in range(rows):
        for x in range(columns):
            if state[PLANE + y * PITCH + x] == NEVER:
                return False
    return True


@jit
def composite_backward(
    start, stop, splats, tile_start, tile_splats, tile_pieces, backgrounds, tiles_x, tiles_y,
    alpha_max, transmittance, finished,
    v_image, v_alpha,  # [I, H, W, D], [I, H, W]
    pieces,  # out: [P, 6 + D] gradient of each piece: mean, conic, opacity, channels
):  # fmt: skip
    """Process the tiles in the range back to front and store the gradient of each piece."""
    height, width, channels = v_image.shape[1], v_image.shape[2], v_image.shape[3]
    tiles = tiles_x * tiles_y
    # transmittance, finished, gradient-weighted colour behind the current splat, gradient per channel
    state = np.empty((3 + channels) * PLANE, np.float32)
    sums = np.empty(channels * LANES, np.float32)
    for unit in range(start, stop):
        i, tile = unit // tiles, unit % tiles
        left, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        right, bottom = min(left + TILE, width), min(top + TILE, height)
        first, last = tile_start[unit], tile_start[unit + 1]
        state[:] = ZERO
        state[PLANE : 2 * PLANE] = -ONE  # pixels outside the image count as finished
        deepest = ZERO
        for y in range(top, bottom):
            for x in range(left, right):
                base = (y - top) * PITCH + (x - left)
                behind = -v_alpha[i, y, x]
                for d in range(channels):
                    state[(3 + d) * PLANE + base] = v_image[i, y, x, d]
                    behind += v_image[i, y, x, d] * backgrounds[i, d]
                state[base] = transmittance[i, y, x]
                state[PLANE + base] = finished[i, y, x]
                state[2 * PLANE + base] = behind * transmittance[i, y, x]
                deepest = max(deepest, finished[i, y, x])
        for entry in range(last - 1, first - 1, -1):
            piece = pieces[tile_pieces[entry]]
            place = f32(entry - first)
            if place >= deepest:
                piece[:] = ZERO
                continue
            row = splats[i, tile_splats[entry]]
            cxx, cxy, cyy, opacity = row[CONIC_XX], row[CONIC_XY], row[CONIC_YY], row[OPACITY]
            sums[:] = ZERO
            s = sx = sy = sxx = sxy = syy = splat(ZERO)  # moments of the gradient of exp(-sigma)
            shear, reach = cxy / cxx, row[CUTOFF] / cxx
            shrink = row[INV_VAR_Y] / cxx
            y0, y1 = _span(row[MEAN_Y] - HALF, row[CUTOFF] / row[INV_VAR_Y], top, bottom)
            for y in range(y0, y1):
                dy = f32(y) + HALF - row[MEAN_Y]
                middle = row[MEAN_X] - HALF - shear * dy
                x0, x1 = _span(middle, reach - shrink * dy * dy, left, right)
                across, along = cxy * dy, HALF * cyy * dy * dy
                r = rx = splat(ZERO)
                for x in range(x0, x1, LANES):
                    base = (y - top) * PITCH + (x - left)
                    after, end = load(state, base), load(state, PLANE + base)
                    behind = load(state, 2 * PLANE + base)
                    dx = ramp() + (f32(x) + HALF - row[MEAN_X])
                    sigma = dx * (dx * (HALF * cxx) + across) + along
                    fall = exp(ZERO - sigma)
                    alpha = minimum(fall * opacity, alpha_max)
                    hit = (alpha >= ALPHA_MIN) & (sigma >= ZERO) & (place < end)
                    inverse = ONE / (ONE - alpha)
                    before = after * inverse
                    weight = select(hit, alpha * before, splat(ZERO))
                    dot = splat(ZERO)
                    for d in range(channels):
                        v = load(state, (3 + d) * PLANE + base)
                        dot = dot + v * row[COLOR + d]
                        store(sums, d * LANES, load(sums, d * LANES) + weight * v)
                    m = fall * (before * dot - behind * inverse)
                    m = select(hit & (fall * opacity <= alpha_max), m, splat(ZERO))
                    store(state, base, select(hit, before, after))
                    store(state, 2 * PLANE + base, behind + weight * dot)
                    mx = m * dx
                    r, rx, sxx = r + m, rx + mx, sxx + mx * dx
                s, sx, sy = s + r, sx + rx, sy + r * dy
                sxy, syy = sxy + rx * dy, syy + r * (dy * dy)
            gx, gy = total(sx), total(sy)
            piece[0] = opacity * (cxx * gx + cxy * gy)
            piece[1] = opacity * (cxy * gx + cyy * gy)
            piece[2] = -HALF * opacity * total(sxx)
            piece[3] = -opacity * total(sxy)
            piece[4] = -HALF * opacity * total(syy)
            piece[5] = total(s)
            for d in range(channels):
                piece[GRADIENT_COLOR + d] = total(load(sums, d * LANES))
