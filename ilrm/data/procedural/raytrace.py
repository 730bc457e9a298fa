"""A ray tracer for textured rooms: analytic intersections, diffuse shading, exact z-depth.

World: x right, y down, z forward, metres; the floor is y = 0 and the ceiling y = -height.
Appearance depends on the surface point alone (Lambertian), never on the camera. The kernel releases
the GIL: run it from a thread pool.
"""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ilrm.data.procedural.textures import LEVELS, SIDE, STARTS

BOX, SPHERE, CYLINDER = 0, 1, 2
SOLID = np.dtype(
    [
        ("kind", np.int64),
        ("centre", np.float64, 3),  # world
        # half extents; sphere: the radius three times; cylinder: radius, half height, radius
        ("half", np.float64, 3),
        ("cos", np.float64),  # of the rotation about the vertical
        ("sin", np.float64),
    ]
)
# colour = base + matrix @ (sum of weight[i] * bank[layer[i]] at the scaled, rotated, shifted uv)
MATERIAL = np.dtype(
    [
        ("layer", np.int64, 2),
        ("weight", np.float64, 2),
        ("scale", np.float64, 2),  # texels per metre at mip level 0
        ("cos", np.float64),
        ("sin", np.float64),
        ("shift", np.float64, 2),  # texels
        ("base", np.float64, 3),
        ("matrix", np.float64, (3, 3)),
    ]
)
ROOM_FACES = 6  # materials 0..5: -x, +x, ceiling, floor, -z, +z; material 6 + k belongs to solid k


def _jit(function: Callable[..., Any]) -> Any:
    """Compile a function that releases the GIL, cached on disk if a folder for that is writable."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # numba finds no writable cache folder
        return numba.njit(nogil=True, error_model="numpy")(function)


@_jit
def _hit_solid(kind, hx, hy, hz, ox, oy, oz, dx, dy, dz, nearest):
    """First entry of a ray (in the solid's frame) before `nearest`: t, normal; t = inf for a miss."""
    if kind == SPHERE:
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        disc = b * b - a * (ox * ox + oy * oy + oz * oz - hx * hx)
        if disc > 0.0:
            t = (-b - math.sqrt(disc)) / a
            if 0.0 < t < nearest:
                return t, (ox + t * dx) / hx, (oy + t * dy) / hx, (oz + t * dz) / hx
        return np.inf, 0.0, 0.0, 0.0
    # slab of the vertical extent, shared by box and cylinder
    inv = 1.0 / dy
    enter = (-hy - oy) * inv
    leave = (hy - oy) * inv
    if enter > leave:
        enter, leave = leave, enter
    nx, ny, nz = 0.0, -math.copysign(1.0, dy), 0.0
    if kind == CYLINDER:
        a = dx * dx + dz * dz
        b = ox * dx + oz * dz
        disc = b * b - a * (ox * ox + oz * oz - hx * hx)
        if disc <= 0.0:
            return np.inf, 0.0, 0.0, 0.0
        root = math.sqrt(disc)
        near = (-b - root) / a
        leave = min(leave, (-b + root) / a)
        if near > enter:
            enter = near
            nx, ny, nz = (ox + near * dx) / hx, 0.0, (oz + near * dz) / hx
    else:
        inv = 1.0 / dx
        near = -hx * abs(inv) - ox * inv
        leave = min(leave, hx * abs(inv) - ox * inv)
        if near > enter:
            enter = near
            nx, ny, nz = -math.copysign(1.0, dx), 0.0, 0.0
        inv = 1.0 / dz
        near = -hz * abs(inv) - oz * inv
        leave = min(leave, hz * abs(inv) - oz * inv)
        if near > enter:
            enter = near
            nx, ny, nz = 0.0, 0.0, -math.copysign(1.0, dz)
    if enter < leave and 0.0 < enter < nearest:
        return enter, nx, ny, nz
    return np.inf, 0.0, 0.0, 0.0


@_jit
def _trace(size, solids, origins, near, count, ox, oy, oz, dx, dy, dz):
    """Nearest surface along a world ray among the room and the solids near[:count].

    Returns t, the solid's number (-1: the room), and the normal in the frame of the surface that was hit.
    """
    tx = (math.copysign(0.5 * size[0], dx) - ox) / dx
    ty = ((0.0 if dy > 0.0 else -size[1]) - oy) / dy
    tz = (math.copysign(0.5 * size[2], dz) - oz) / dz
    if tx < ty and tx < tz:
        t, nx, ny, nz = tx, -math.copysign(1.0, dx), 0.0, 0.0
    elif ty < tz:
        t, nx, ny, nz = ty, 0.0, -math.copysign(1.0, dy), 0.0
    else:
        t, nx, ny, nz = tz, 0.0, 0.0, -math.copysign(1.0, dz)
    solid = -1
    for i in range(count):
        k = near[i]
        s = solids[k]
        c, w = s.cos, s.sin
        h = s.half
        o = origins[k]
        found = _hit_solid(
            s.kind, h[0], h[1], h[2], o[0], o[1], o[2], c * dx - w * dz, dy, w * dx + c * dz, t
        )
        if found[0] < t:
            t, nx, ny, nz = found
            solid = k
    return t, solid, nx, ny, nz


@_jit
def _texture(bank, layer, level, x, y, out, weight):
    """Add weight * a bank image's mip level at texel (x, y) of level 0, bilinear, mirrored at the borders."""
    side = SIDE >> level
    x /= 1 << level
    y /= 1 << level
    period = 2.0 * side
    x -= math.floor(x / period) * period
    y -= math.floor(y / period) * period
    x = min(max(min(x, period - x) - 0.5, 0.0), side - 1.001)
    y = min(max(min(y, period - y) - 0.5, 0.0), side - 1.001)
    i, j = int(y), int(x)
    fy, fx = y - i, x - j
    i = STARTS[level] + i * side + j
    a, b = weight * (1.0 - fy) * (1.0 - fx), weight * (1.0 - fy) * fx
    c, d = weight * fy * (1.0 - fx), weight * fy * fx
    for n in range(3):
        out[n] += a * bank[layer, i, n] + b * bank[layer, i + 1, n]
        out[n] += c * bank[layer, i + side, n] + d * bank[layer, i + side + 1, n]


@_jit
def _shade(
    bank, size, solids, materials, light, solid, px, py, pz, nx, ny, nz, footprint, tex, out
):
    """Add the colour of a surface point to out [3]; p and n are in world coordinates.

    footprint: metres between samples.
    """
    if solid < 0:
        face = (
            0
            if nx > 0.5
            else 1
            if nx < -0.5
            else 2
            if ny > 0.5
            else 3
            if ny < -0.5
            else 4
            if nz > 0.5
            else 5
        )
        m = materials[face]
        u, v = (pz, py) if face < 2 else (px, pz) if face < 4 else (px, py)
        gx, gy, gz = 0.5 * size[0] - abs(px), min(-py, size[1] + py), 0.5 * size[2] - abs(pz)
        # to the nearest corner
        gap = min(gy, gz) if face < 2 else min(gx, gz) if face < 4 else min(gx, gy)
    else:
        m = materials[ROOM_FACES + solid]
        s = solids[solid]
        rx, ry, rz = px - s.centre[0], py - s.centre[1], pz - s.centre[2]
        lx, lz = s.cos * rx - s.sin * rz, s.sin * rx + s.cos * rz
        if s.kind != SPHERE and abs(ny) > 0.5:
            u, v = lx, lz
        elif s.kind == BOX:
            u, v = (lz, ry) if abs(s.cos * nx - s.sin * nz) > 0.5 else (lx, ry)
        else:
            u, v = s.half[0] * abs(math.atan2(lz, lx)), ry  # mirrored, so without a seam
        gap = s.half[1] - ry  # to the surface that it stands on
    tex[0] = tex[1] = tex[2] = 0.0
    for i in range(2):
        if m.weight[i] != 0.0:
            scale = m.scale[i]
            level = int(min(max(math.log2(footprint * scale) + 0.5, 0.0), LEVELS - 1.0))
            x = (m.cos * u - m.sin * v) * scale + m.shift[0]
            y = (m.sin * u + m.cos * v) * scale + m.shift[1]
            _texture(bank, m.layer[i], level, x, y, tex, m.weight[i])
    tx, ty, tz = light[0] - px, light[1] - py, light[2] - pz
    d2 = tx * tx + ty * ty + tz * tz
    # half Lambert: no face is black
    wrap = 0.5 + 0.5 * (nx * tx + ny * ty + nz * tz) / math.sqrt(d2 + 1e-12)
    shade = (0.4 + 1.05 * wrap * wrap / (1.0 + 0.06 * d2)) * (
        1.0 - 0.35 * math.exp(-4.0 * max(gap, 0.0))
    )
    for n in range(3):
        value = (
            m.base[n] + m.matrix[n, 0] * tex[0] + m.matrix[n, 1] * tex[1] + m.matrix[n, 2] * tex[2]
        )
        out[n] += min(max(value, 0.0) * shade, 1.0)


@_jit
def _render(bank, size, solids, materials, light, c2w, intrinsics, samples, images, depths):
    """Fill images uint8 [N, H, W, 3] and depths float32 [N, H, W] (at pixel centres; may have N = 0)."""
    fx, fy, cx, cy = intrinsics
    count = solids.shape[0]
    origins = np.empty((count, 3))  # the camera in each solid's frame
    radii = np.empty(count)
    near = np.empty(count, np.int64)
    tex, out = np.empty(3), np.empty(3)
    for k in range(count):
        h = solids[k].half
        radii[k] = (
            h[0] if solids[k].kind == SPHERE else math.sqrt(h[0] ** 2 + h[1] ** 2 + h[2] ** 2)
        )
    spread = 0.75 / min(fx, fy)  # half a pixel's diagonal at z = 1, rounded up
    for frame in range(images.shape[0]):
        pose = c2w[frame]
        ox, oy, oz = pose[0, 3], pose[1, 3], pose[2, 3]
        for k in range(count):
            s = solids[k]
            rx, ry, rz = ox - s.centre[0], oy - s.centre[1], oz - s.centre[2]
            origins[k, 0] = s.cos * rx - s.sin * rz
            origins[k, 1] = ry
            origins[k, 2] = s.sin * rx + s.cos * rz
        for row in range(images.shape[1]):
            for column in range(images.shape[2]):
                x, y = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
                dx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2]
                dy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2]
                dz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2]
                d2 = dx * dx + dy * dy + dz * dz
                found = 0
                for k in range(count):  # solids whose bounding sphere meets the pixel's cone
                    s = solids[k]
                    rx, ry, rz = s.centre[0] - ox, s.centre[1] - oy, s.centre[2] - oz
                    t = (rx * dx + ry * dy + rz * dz) / d2
                    r = radii[k]
                    reach = r + spread * (max(t, 0.0) + r)
                    if rx * rx + ry * ry + rz * rz - t * t * d2 < reach * reach and t > -r:
                        near[found] = k
                        found += 1
                if depths.shape[0] > 0:
                    hit = _trace(size, solids, origins, near, found, ox, oy, oz, dx, dy, dz)
                    depths[frame, row, column] = hit[0]
                out[:] = 0.0
                for sample in range(samples * samples):
                    x = (column + (sample % samples + 0.5) / samples - cx) / fx
                    y = (row + (sample // samples + 0.5) / samples - cy) / fy
                    dx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2]
                    dy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2]
                    dz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2]
                    t, k, nx, ny, nz = _trace(
                        size, solids, origins, near, found, ox, oy, oz, dx, dy, dz
                    )
                    if k >= 0:  # rotate the normal back to the world
                        c, w = solids[k].cos, solids[k].sin
                        nx, nz = c * nx + w * nz, c * nz - w * nx
                    p = ox + t * dx, oy + t * dy, oz + t * dz
                    footprint = t / (fx * samples)
                    _shade(
                        bank, size, solids, materials, light, k, *p, nx, ny, nz, footprint, tex, out
                    )
                for n in range(3):
                    images[frame, row, column, n] = int(255.0 * out[n] / (samples * samples) + 0.5)


def render_room(
    bank: NDArray[np.float32],  # texture_bank()
    size: NDArray[np.float64],  # [3] the room's extents in metres
    solids: NDArray[np.void],  # [K] SOLID
    materials: NDArray[np.void],  # [6 + K] MATERIAL
    light: NDArray[np.float64],  # [3] world
    c2w: NDArray[np.float64],  # [N, 4, 4] OpenCV
    fxfycxcy: NDArray[np.float64],  # [4] pixels
    height: int,
    width: int,
    supersample: int,  # rays per pixel and axis
    with_depth: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Images uint8 [N, H, W, 3] and exact z-depths in metres, float32 [N, H, W] ([0, H, W] without depth)."""
    n = len(c2w)
    images = np.empty((n, height, width, 3), np.uint8)
    depths = np.empty((n if with_depth else 0, height, width), np.float32)
    intrinsics = tuple(float(v) for v in fxfycxcy)
    _render(bank, size, solids, materials, light, c2w, intrinsics, supersample, images, depths)
    return images, depths
