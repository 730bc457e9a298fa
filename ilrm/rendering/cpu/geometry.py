"""Rotations, pinhole projection and spherical harmonics on scalars, for the projection kernels.

Matrices are flat tuples in row-major order. Source: gsplat 1.5.3; Sloan, Efficient spherical harmonic
evaluation (2013).
"""

import math

from ilrm.rendering.cpu.threads import jit

SH0, SH1 = 0.2820947917738781, 0.48860251190292
SH2A, SH2B, SH2C, SH2D = (
    1.092548430592079,
    0.9461746957575601,
    0.3153915652525201,
    0.5462742152960395,
)
SH3A, SH3B, SH3C, SH3D = (
    0.5900435899266435,
    2.890611442640554,
    0.4570457994644658,
    2.285228997322329,
)
SH3E, SH3F, SH3G = 1.865881662950577, 1.119528997770346, 1.445305721320277


@jit
def unit_quaternion(q):  # [4] wxyz -> its unit quaternion and length
    w, x, y, z = float(q[0]), float(q[1]), float(q[2]), float(q[3])
    length = max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return (w / length, x / length, y / length, z / length), length


@jit
def rotation(q):  # unit quaternion -> 3 x 3
    w, x, y, z = q
    return (
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y),
    )  # fmt: skip


@jit
def quaternion_gradient(q, length, g):
    """Gradient of the unnormalised quaternion, of length `length`, from that of the rotation matrix."""
    w, x, y, z = q
    a = 2.0 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    b = 2.0 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]))
    c = 2.0 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]))
    d = 2.0 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]))
    b -= 4.0 * x * (g[4] + g[8])
    c -= 4.0 * y * (g[0] + g[8])
    d -= 4.0 * z * (g[0] + g[4])
    along = a * w + b * x + c * y + d * z
    return (
        (a - along * w) / length,
        (b - along * x) / length,
        (c - along * y) / length,
        (d - along * z) / length,
    )


@jit
def scale_columns(m, s):
    return (
        m[0] * s[0], m[1] * s[1], m[2] * s[2],
        m[3] * s[0], m[4] * s[1], m[5] * s[2],
        m[6] * s[0], m[7] * s[1], m[8] * s[2],
    )  # fmt: skip


@jit
def times(r, m):  # row vector @ 3 x 3
    return (
        r[0] * m[0] + r[1] * m[3] + r[2] * m[6],
        r[0] * m[1] + r[1] * m[4] + r[2] * m[7],
        r[0] * m[2] + r[1] * m[5] + r[2] * m[8],
    )


@jit
def times_transposed(r, m):  # row vector @ transpose of 3 x 3
    return (
        r[0] * m[0] + r[1] * m[1] + r[2] * m[2],
        r[0] * m[3] + r[1] * m[4] + r[2] * m[5],
        r[0] * m[6] + r[1] * m[7] + r[2] * m[8],
    )


@jit
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@jit
def add_outer(m, a, b):  # m + a^T b
    return (
        m[0] + a[0] * b[0], m[1] + a[0] * b[1], m[2] + a[0] * b[2],
        m[3] + a[1] * b[0], m[4] + a[1] * b[1], m[5] + a[1] * b[2],
        m[6] + a[2] * b[0], m[7] + a[2] * b[1], m[8] + a[2] * b[2],
    )  # fmt: skip


@jit
def camera(V, K, width, height):  # noqa: N803
    """Rotation rows, translation, (fx, fy, cx, cy), limits of x / z and y / z, camera centre.

    Beyond the limits, the field of view widened by 30 %, the Jacobian is constant.
    """
    m = (
        float(V[0, 0]), float(V[0, 1]), float(V[0, 2]),
        float(V[1, 0]), float(V[1, 1]), float(V[1, 2]),
        float(V[2, 0]), float(V[2, 1]), float(V[2, 2]),
    )  # fmt: skip
    t = (float(V[0, 3]), float(V[1, 3]), float(V[2, 3]))
    fx, fy, cx, cy = float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])
    left, right = (-cx - 0.15 * width) / fx, (width - cx + 0.15 * width) / fx
    top, bottom = (-cy - 0.15 * height) / fy, (height - cy + 0.15 * height) / fy
    a = (m[4] * m[8] - m[5] * m[7], m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4])
    b = (m[5] * m[6] - m[3] * m[8], m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5])
    c = (m[3] * m[7] - m[4] * m[6], m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3])
    det = m[0] * a[0] + m[1] * b[0] + m[2] * c[0]
    centre = (-dot(a, t) / det, -dot(b, t) / det, -dot(c, t) / det)  # -inverse @ t
    rows = ((m[0], m[1], m[2]), (m[3], m[4], m[5]), (m[6], m[7], m[8]))
    return rows, t, (fx, fy, cx, cy), (left, right, top, bottom), centre


@jit
def jacobian(rows, focal, limits, x, y, z):  # d(pixel x, y) / d(world position), two rows
    fx, fy = focal[0] / z, focal[1] / z
    u = min(max(x / z, limits[0]), limits[1])
    v = min(max(y / z, limits[2]), limits[3])
    (a, b, c), (d, e, f), (g, h, i) = rows
    return (
        (fx * (a - u * g), fx * (b - u * h), fx * (c - u * i)),
        (fy * (d - v * g), fy * (e - v * h), fy * (f - v * i)),
    )


@jit
def direction(p, centre):  # unit vector from the camera to p, and 1 / distance
    x, y, z = p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]
    inverse = 1.0 / max(math.sqrt(x * x + y * y + z * z), 1e-12)
    return (x * inverse, y * inverse, z * inverse), inverse


@jit
def harmonics(degree, unit, basis):
    """Write the real spherical harmonics of a unit direction to `basis` [(degree + 1)^2]."""
    x, y, z = unit
    basis[0] = SH0
    if degree >= 1:
        basis[1], basis[2], basis[3] = -SH1 * y, SH1 * z, -SH1 * x
    if degree >= 2:
        basis[4], basis[5], basis[7] = SH2A * x * y, -SH2A * y * z, -SH2A * x * z
        basis[6], basis[8] = SH2B * z * z - SH2C, SH2D * (x * x - y * y)
    if degree >= 3:
        ring = SH3C - SH3D * z * z
        basis[9] = -SH3A * y * (3.0 * x * x - y * y)
        basis[10] = SH3B * x * y * z
        basis[11], basis[13] = ring * y, ring * x
        basis[12] = z * (SH3E * z * z - SH3F)
        basis[14] = SH3G * z * (x * x - y * y)
        basis[15] = -SH3A * x * (x * x - 3.0 * y * y)


@jit
def harmonics_gradient(degree, unit, v):
    """Gradient of sum_k v[k] * basis[k] with respect to the direction."""
    x, y, z = unit
    gx, gy, gz = 0.0, 0.0, 0.0
    if degree >= 1:
        gx, gy, gz = -SH1 * v[3], -SH1 * v[1], SH1 * v[2]
    if degree >= 2:
        gx += SH2A * (y * v[4] - z * v[7]) + 2.0 * SH2D * x * v[8]
        gy += SH2A * (x * v[4] - z * v[5]) - 2.0 * SH2D * y * v[8]
        gz += 2.0 * SH2B * z * v[6] - SH2A * (y * v[5] + x * v[7])
    if degree >= 3:
        ring = SH3C - SH3D * z * z
        square, product = x * x - y * y, x * y
        gx += -6.0 * SH3A * product * v[9] - 3.0 * SH3A * square * v[15]
        gx += SH3B * y * z * v[10] + ring * v[13] + 2.0 * SH3G * x * z * v[14]
        gy += -3.0 * SH3A * square * v[9] + 6.0 * SH3A * product * v[15]
        gy += SH3B * x * z * v[10] + ring * v[11] - 2.0 * SH3G * y * z * v[14]
        gz += SH3B * product * v[10] - 2.0 * SH3D * z * (y * v[11] + x * v[13])
        gz += SH3G * square * v[14] + (3.0 * SH3E * z * z - SH3F) * v[12]
    return gx, gy, gz
