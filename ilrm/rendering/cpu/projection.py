"""Projection of 3D Gaussians to 2D splats (EWA) with spherical harmonics, forward and backward.

Dimensions: B batch elements, C cameras, I = B * C images, N Gaussians, D channels, K harmonics.
Computation is in double precision, one Gaussian at a time; inputs and outputs are float32.
Source: Zwicker et al., EWA splatting (2001), with the conventions of gsplat 1.5.3.
"""

import math

import numpy as np

from ilrm.rendering.cpu.geometry import (
    SH0,
    add_outer,
    camera,
    direction,
    dot,
    harmonics,
    harmonics_gradient,
    jacobian,
    quaternion_gradient,
    rotation,
    scale_columns,
    times,
    times_transposed,
    unit_quaternion,
)
from ilrm.rendering.cpu.threads import jit

# A splat is a row of 8 + D float32 values: centre in pixels, inverse covariance, opacity, squared
# Mahalanobis radius, 1 / variance along y, channels.
MEAN_X, MEAN_Y, CONIC_XX, CONIC_XY, CONIC_YY, OPACITY, CUTOFF, INV_VAR_Y, COLOR = range(9)
SPLAT_SIZE = COLOR
# Its gradient is a row of 6 + D values: mean, conic, opacity, channels.
GRADIENT_SIZE = GRADIENT_COLOR = 6

ALPHA_MIN = 1.0 / 255.0  # fainter contributions are skipped
MAX_SIGMAS = 3.33  # largest extent of a splat, in standard deviations
MAX_RADIUS = 1e9  # pixels; keeps radii inside int32


@jit
def project(
    start, stop,  # range of flattened (batch element, Gaussian) pairs
    means, quats, scales, opacities,  # [B, N, 3], [B, N, 4], [B, N, 3], [B, N]
    colors,  # [B, C or 1, N, K, 3] harmonics, or [B, C or 1, N, 1, D]
    viewmats, Ks,  # [B, C, 4, 4], [B, C, 3, 3]  # noqa: N803
    width, height, eps2d,
    degree,  # of the harmonics; -1: plain colours
    with_color, with_depth, antialiased,  # channels of a splat: colours, then depth
    near, far, radius_clip,
    splats, depths, radii,  # out: [I, N, 8 + D], [I, N], [I, N, 2] (0: not visible)
):  # fmt: skip
    """Compute one splat per Gaussian and camera. Returns the first non-finite pair, or -1."""
    cameras, count = viewmats.shape[1], means.shape[1]
    basis = np.zeros(16)
    basis[0] = SH0
    bases = (degree + 1) * (degree + 1)
    channels = splats.shape[2] - COLOR - with_depth  # of colour
    for pair in range(start, stop):
        b, n = pair // count, pair % count
        p = (float(means[b, n, 0]), float(means[b, n, 1]), float(means[b, n, 2]))
        s = (float(scales[b, n, 0]), float(scales[b, n, 1]), float(scales[b, n, 2]))
        q, length = unit_quaternion(quats[b, n])
        axes = scale_columns(rotation(q), s)
        if not math.isfinite(p[0] + p[1] + p[2] + length + s[0] + s[1] + s[2] + opacities[b, n]):
            return pair
        for c in range(cameras):
            i = b * cameras + c
            radii[i, n, 0] = radii[i, n, 1] = 0
            rows, t, focal, limits, centre = camera(viewmats[b, c], Ks[b, c], width, height)
            x, y, z = dot(rows[0], p) + t[0], dot(rows[1], p) + t[1], dot(rows[2], p) + t[2]
            depths[i, n] = z
            if z < near or z > far or z <= 0.0:
                continue
            jx, jy = jacobian(rows, focal, limits, x, y, z)
            ax, ay = times(jx, axes), times(jy, axes)
            xx, xy, yy = dot(ax, ax), dot(ax, ay), dot(ay, ay)  # covariance in pixels squared
            sharp = max(xx * yy - xy * xy, 0.0)
            xx, yy = xx + eps2d, yy + eps2d
            det = xx * yy - xy * xy
            if not det > 0.0:
                continue
            opacity = float(opacities[b, n])
            if antialiased:
                opacity *= math.sqrt(sharp / det)
            if opacity < ALPHA_MIN:
                continue
            # alpha is below ALPHA_MIN beyond this squared Mahalanobis distance
            cutoff = min(MAX_SIGMAS * MAX_SIGMAS, 2.0 * math.log(opacity / ALPHA_MIN))
            radius_x = min(math.ceil(math.sqrt(cutoff * xx)), MAX_RADIUS)
            radius_y = min(math.ceil(math.sqrt(cutoff * yy)), MAX_RADIUS)
            mean_x, mean_y = focal[0] * x / z + focal[2], focal[1] * y / z + focal[3]
            if radius_x <= radius_clip and radius_y <= radius_clip:
                continue
            if mean_x + radius_x <= 0 or mean_x - radius_x >= width:
                continue
            if mean_y + radius_y <= 0 or mean_y - radius_y >= height:
                continue
            radii[i, n, 0], radii[i, n, 1] = radius_x, radius_y
            splat = splats[i, n]
            splat[MEAN_X], splat[MEAN_Y] = mean_x, mean_y
            splat[CONIC_XX], splat[CONIC_XY], splat[CONIC_YY] = yy / det, -xy / det, xx / det
            splat[OPACITY], splat[CUTOFF], splat[INV_VAR_Y] = opacity, cutoff, 1.0 / yy
            if with_depth:
                splat[COLOR + channels] = z
            if with_color:
                color = colors[b, min(c, colors.shape[1] - 1), n]  # [K, D]
                if degree >= 1:
                    unit, _ = direction(p, centre)
                    harmonics(degree, unit, basis)
                for d in range(channels):
                    value = float(color[0, d])
                    if degree >= 0:
                        value = 0.5 + SH0 * value
                        for k in range(1, bases):
                            value += basis[k] * color[k, d]
                    if not math.isfinite(value):
                        return pair
                    splat[COLOR + d] = value if degree < 0 else max(value, 0.0)
    return -1


@jit
def project_backward(
    start, stop, means, quats, scales, opacities, colors, viewmats, Ks,  # noqa: N803
    width, height, eps2d, degree, with_color, with_depth, antialiased,  # as in project
    splats,  # [I, N, 8 + D] as filled by project
    pieces, first_piece,  # gradients of pieces of splats [P, 6 + D]; first piece of each splat [I, N + 1]
    v_means, v_quats, v_scales, v_opacities, v_colors,  # out: gradients, zeros on entry
):  # fmt: skip
    """Propagate the splats' gradients to the Gaussians, summed over cameras in a fixed order."""
    cameras, count, size = viewmats.shape[1], means.shape[1], pieces.shape[1]
    total = np.zeros(size)
    basis, v_basis = np.zeros(16), np.zeros(16)
    basis[0] = SH0
    bases = max(1, (degree + 1) * (degree + 1))
    channels = size - GRADIENT_COLOR - with_depth  # of colour
    for pair in range(start, stop):
        b, n = pair // count, pair % count
        p = (float(means[b, n, 0]), float(means[b, n, 1]), float(means[b, n, 2]))
        s = (float(scales[b, n, 0]), float(scales[b, n, 1]), float(scales[b, n, 2]))
        q, length = unit_quaternion(quats[b, n])
        turn = rotation(q)
        axes = scale_columns(turn, s)
        v_axes = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        gx = gy = gz = v_opacity = 0.0
        for c in range(cameras):
            i = b * cameras + c
            if first_piece[i, n] == first_piece[i, n + 1]:
                continue
            total[:] = 0.0
            for piece in range(first_piece[i, n], first_piece[i, n + 1]):
                for k in range(size):
                    total[k] += pieces[piece, k]
            rows, t, focal, limits, centre = camera(viewmats[b, c], Ks[b, c], width, height)
            x, y, z = dot(rows[0], p) + t[0], dot(rows[1], p) + t[1], dot(rows[2], p) + t[2]
            jx, jy = jacobian(rows, focal, limits, x, y, z)
            ax, ay = times(jx, axes), times(jy, axes)
            xx, xy, yy = dot(ax, ax), dot(ax, ay), dot(ay, ay)
            sharp = max(xx * yy - xy * xy, 0.0)
            blurred_x, blurred_y = xx + eps2d, yy + eps2d
            det = blurred_x * blurred_y - xy * xy
            # the conic is X = inverse(covariance): the gradient of the covariance is -X G X
            cxx, cxy, cyy = blurred_y / det, -xy / det, blurred_x / det
            g00, g01, g11 = total[2], 0.5 * total[3], total[4]
            h00, h01 = cxx * g00 + cxy * g01, cxx * g01 + cxy * g11
            h10, h11 = cxy * g00 + cyy * g01, cxy * g01 + cyy * g11
            v_xx, v_yy = -(h00 * cxx + h01 * cxy), -(h10 * cxy + h11 * cyy)
            v_xy = -2.0 * (h00 * cxy + h01 * cyy)
            if antialiased:  # opacity was multiplied by sqrt(ratio)
                ratio = sharp / det
                factor = math.sqrt(ratio)
                v_opacity += total[5] * factor
                v_ratio = 0.5 * total[5] * opacities[b, n] / max(factor, 1e-6) / det
                v_xx += v_ratio * (yy - ratio * blurred_y)
                v_yy += v_ratio * (xx - ratio * blurred_x)
                v_xy += v_ratio * 2.0 * xy * (ratio - 1.0)
            else:
                v_opacity += total[5]
            # covariance -> projected axes -> Jacobian and axes
            vx, vy = 2.0 * v_xx, 2.0 * v_yy
            v_ax = (vx * ax[0] + v_xy * ay[0], vx * ax[1] + v_xy * ay[1], vx * ax[2] + v_xy * ay[2])
            v_ay = (vy * ay[0] + v_xy * ax[0], vy * ay[1] + v_xy * ax[1], vy * ay[2] + v_xy * ax[2])
            v_axes = add_outer(add_outer(v_axes, jx, v_ax), jy, v_ay)
            v_jx, v_jy = times_transposed(v_ax, axes), times_transposed(v_ay, axes)
            # Jacobian and centre -> point in the camera; everything is a product with r = 1 / z
            r = 1.0 / z
            v_r = (dot(v_jx, jx) + dot(v_jy, jy)) * z
            v_r += total[0] * focal[0] * x + total[1] * focal[1] * y
            vx, vy = total[0] * focal[0] * r, total[1] * focal[1] * r
            if limits[0] <= x * r <= limits[1]:
                v_u = -focal[0] * r * dot(v_jx, rows[2])
                vx += v_u * r
                v_r += v_u * x
            if limits[2] <= y * r <= limits[3]:
                v_v = -focal[1] * r * dot(v_jy, rows[2])
                vy += v_v * r
                v_r += v_v * y
            vz = -v_r * r * r
            if with_depth:
                vz += total[GRADIENT_COLOR + channels]
            gx += rows[0][0] * vx + rows[1][0] * vy + rows[2][0] * vz
            gy += rows[0][1] * vx + rows[1][1] * vy + rows[2][1] * vz
            gz += rows[0][2] * vx + rows[1][2] * vy + rows[2][2] * vz
            if not with_color:
                continue
            slot = min(c, colors.shape[1] - 1)
            color, v_color = colors[b, slot, n], v_colors[b, slot, n]  # [K, D]
            unit, inverse = direction(p, centre)
            if degree >= 1:
                harmonics(degree, unit, basis)
            v_basis[:] = 0.0
            for d in range(channels):
                v_value = total[GRADIENT_COLOR + d]
                if degree < 0:
                    v_color[0, d] += v_value
                elif splats[i, n, COLOR + d] > 0.0:  # else clamped
                    for k in range(bases):
                        v_color[k, d] += basis[k] * v_value
                        v_basis[k] += color[k, d] * v_value
            if degree >= 1:
                tx, ty, tz = harmonics_gradient(degree, unit, v_basis)
                along = tx * unit[0] + ty * unit[1] + tz * unit[2]
                gx += (tx - along * unit[0]) * inverse
                gy += (ty - along * unit[1]) * inverse
                gz += (tz - along * unit[2]) * inverse
        v_means[b, n, 0], v_means[b, n, 1], v_means[b, n, 2] = gx, gy, gz
        v_opacities[b, n] = v_opacity
        w = v_axes
        v_scales[b, n, 0] = w[0] * turn[0] + w[3] * turn[3] + w[6] * turn[6]
        v_scales[b, n, 1] = w[1] * turn[1] + w[4] * turn[4] + w[7] * turn[7]
        v_scales[b, n, 2] = w[2] * turn[2] + w[5] * turn[5] + w[8] * turn[8]
        v_quat = quaternion_gradient(q, length, scale_columns(w, s))
        for k in range(4):
            v_quats[b, n, k] = v_quat[k]
