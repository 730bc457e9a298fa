"""Checks of a scene's cameras, in every layout: rigid poses within reach, plausible fields of view."""

import numpy as np
from numpy.typing import NDArray

FOV = (0.5, 170.0)  # degrees; outside of this range, intrinsics are not in pixels
SLANT = 75.0  # degrees: largest angle between the optical axis and the middle of an image
UNITS = 1.5  # a principal point below this, in a larger image, is in units of the image's size
LARGEST = 1e12  # largest accepted camera coordinate
RIGID = 1e-2  # largest deviation of a rotation times its transpose from the identity

Array = NDArray[np.float64]
Problem = tuple[int, str]  # frame number, and what is wrong with its camera


def pose_problem(c2w: Array) -> Problem | None:
    """The first of the poses [N, 4, 4] that is not finite, too far away or not rigid."""
    finite = np.isfinite(c2w).all((1, 2))
    if not finite.all():
        return int(finite.argmin()), "its pose is not finite: remove the frame from the cameras"
    far = np.abs(c2w[:, :3, 3]).max(1) > LARGEST
    if far.any():
        return int(far.argmax()), f"its camera is beyond {LARGEST:.0g}: recentre the cameras"
    bent = rotation_errors(c2w) > RIGID
    if not bent.any():
        return None
    frame = int(bent.argmax())
    why = _deviation(c2w[frame, :3, :3])
    return frame, f"its pose does not contain a rotation matrix{why}: export the cameras again"


def rotation_errors(c2w: Array) -> Array:
    """Deviation [N] of the rotation blocks of finite poses [N, 4, 4] from rotations; infinite if mirrored."""
    rotation = c2w[:, :3, :3]
    errors = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    return np.where(np.linalg.det(rotation) < 0, np.inf, errors)


def _deviation(matrix: Array) -> str:
    """Why a matrix is not a rotation, in brackets, if it is a mirrored or scaled one."""
    determinant = np.linalg.det(matrix)
    size = np.cbrt(abs(determinant))
    if not size > 0 or np.abs(matrix @ matrix.T / size**2 - np.eye(3)).max() > RIGID:
        return ""
    if determinant < 0:
        return " (its axes are left-handed)"
    return f" (it is scaled by {size:.4g})"


def view_problem(fxfycxcy: Array, sizes: Array) -> Problem | None:
    """The first of the cameras [N, 4], with images of these heights and widths [N, 2], whose intrinsics are
    implausible. The principal point of a crop may lie outside of it.
    """
    size = sizes[:, ::-1]
    fov = np.rad2deg(2 * np.arctan(0.5 * size / fxfycxcy[:, :2]))
    units = (size.min(1) > 2 * UNITS) & (np.abs(fxfycxcy[:, 2:]) <= UNITS).all(1)
    wrong = units | (fov.min(1) <= FOV[0]) | (fov.max(1) >= FOV[1])
    slants = slant(fxfycxcy, sizes)
    if not (wrong | (slants > SLANT)).any():
        return None
    frame = int((wrong | (slants > SLANT)).argmax())
    fx, _, cx, cy = fxfycxcy[frame]
    height, width = sizes[frame].astype(int)
    size_text = f"an image of {height}x{width} pixels"
    given = f"focal length {fx:.4g} and principal point ({cx:.4g}, {cy:.4g}) of {size_text}"
    if not wrong[frame]:
        return frame, (
            f"{given}: the image is seen {slants[frame]:.0f} degrees off the optical axis, at most "
            f"{SLANT:.0f} are supported: correct the principal point"
        )
    widest = max(fov[frame], key=lambda degrees: abs(degrees - 60))
    problem = (
        "the principal point is in the corner"
        if units[frame]
        else f"a view of {widest:.3g} degrees"
    )
    return frame, f"{given}: {problem}: intrinsics must be in pixels; export the cameras again"


def slant(fxfycxcy: Array, sizes: Array) -> Array:
    """Angles [N] in degrees between the optical axis and the middle of the image."""
    off = (0.5 * sizes[:, ::-1] - fxfycxcy[:, 2:]) / fxfycxcy[:, :2]
    return np.rad2deg(np.arctan(np.hypot(off[:, 0], off[:, 1])))
