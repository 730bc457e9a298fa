"""Cameras of transforms.json, in nerfstudio's and in instant-ngp's terms."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ilrm.data.sources.distortion import make_camera
from ilrm.data.sources.values import flag, real
from ilrm.errors import DataError

if TYPE_CHECKING:
    import pycolmap

READ = {"camera_model", "is_fisheye", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2"}
_KINDS = (  # of lenses that are not pinholes
    r"fish|lat_?long|equirect|equidist|equisolid|orthogr|orthoph|panoram|spheric|omnidir|f_?theta|cube_?map|"
    r"vr_?180|stereo"
)
# Names of entries that describe a lens or a shutter; one that is set and not READ changes the image geometry.
LENS = re.compile(
    rf"{_KINDS}|360|rolling|transform_matrix_(start|end)|projection(_type|_mode|_model)?$|dist(ort|_?coef)|skew|"
    r"camera_?(model|type)|(?-i:^D$)|^(k|p|s|b|tau|xi)_?\d+$|^xi$",
    re.IGNORECASE,
)
NO_PINHOLE = re.compile(_KINDS, re.IGNORECASE)
# Names of entries whose text may name the kind of lens
KIND = re.compile(r"model|type|mode|lens|camera|projection|sensor", re.IGNORECASE)
NO_LENS = (
    "perspective",
    "pinhole",
    "simple_pinhole",
    "opencv",
    "none",
    "linear",
    "false",
    "no",
    "0",
)
MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE")


def check_lens(entry: dict[str, Any], where: str, read: frozenset[str] = frozenset()) -> None:
    """Raise DataError on an entry that describes a lens other than a pinhole, if it is not in `read`."""
    for name, value in entry.items():
        if name in read:
            continue
        if isinstance(value, dict) and KIND.search(name):
            check_lens(value, where, read)
        elif (LENS.search(name) and _says_something(value)) or _is_kind(name, value):
            raise DataError(
                f"{where}: its lens is described by {name}={value!r:.40}, which is not supported: undistort "
                "the images to perspective views first"
            )


def _is_kind(name: str, value: Any) -> bool:
    """Whether an entry such as `type` names a lens that is not a pinhole."""
    return isinstance(value, str) and bool(KIND.search(name)) and bool(NO_PINHOLE.search(value))


def _says_something(value: Any) -> bool:
    """Whether a value describes a lens, rather than the absence of one."""
    if isinstance(value, list | tuple):
        return any(map(_says_something, value))
    return bool(value) and str(value).lower() not in NO_LENS


def nerfstudio_camera(
    shared: dict[str, Any], own: dict[str, Any], size: tuple[int, int], where: str
) -> pycolmap.Camera:
    """The camera of a frame of this width and height. A frame's `own` values replace `shared` ones.

    Raises DataError, also on values that are not numbers.
    """
    entry = {**shared, **own}
    check_lens(entry, where, frozenset(READ))
    width, height = size
    fx, fy = _focal_lengths(shared, own, width, height, where)
    centre = real(entry, "cx", where, width / 2), real(entry, "cy", where, height / 2)
    k = [real(entry, f"k{i}", where, 0.0) for i in range(1, 7)]
    p = [real(entry, f"p{i}", where, 0.0) for i in (1, 2)]
    model = str(entry.get("camera_model") or "OPENCV").upper()
    if model.lower() in NO_LENS and model not in MODELS:
        model = "OPENCV"
    if flag(entry, "is_fisheye", where):
        model = "OPENCV_FISHEYE"
    if model not in MODELS:
        raise DataError(
            f"{where}: camera model {model} is not one of {', '.join(MODELS)}: render perspective "
            "views, or undistort the images first"
        )
    if model == "OPENCV_FISHEYE":
        coefficients = k[:4]
    elif not any([*k, *p]):
        model, coefficients = "PINHOLE", []
    elif any(k[3:]):
        raise DataError(
            f"{where}: distortion k4 and higher is not defined for camera model {model}: "
            "undistort the images first"
        )
    elif k[2]:
        model, coefficients = "FULL_OPENCV", [*k[:2], *p, k[2], 0.0, 0.0, 0.0]
    else:  # nerfstudio applies the coefficients to every perspective model
        model, coefficients = "OPENCV", [*k[:2], *p]
    return make_camera(model, width, height, [fx, fy, *centre, *coefficients], where)


def _focal_lengths(
    shared: dict[str, Any], own: dict[str, Any], width: int, height: int, where: str
) -> tuple[float, float]:
    """Focal lengths in pixels. If only one axis is given, it is used for both, as in instant-ngp."""
    for entry in (own, shared):
        x, y = _focal(entry, "x", width, where), _focal(entry, "y", height, where)
        if x is not None or y is not None:
            return (y if x is None else x), (x if y is None else y)  # type: ignore[return-value]
    raise DataError(
        f"{where} has no focal length (fl_x, camera_angle_x or x_fov): export the cameras again"
    )


def _focal(entry: dict[str, Any], axis: str, side: int, where: str) -> float | None:
    """Focal length along an axis of `side` pixels, stored as such or as a field of view; None if unknown."""
    if f"fl_{axis}" in entry:
        return real(entry, f"fl_{axis}", where)
    for name, unit, half_turn in (
        (f"camera_angle_{axis}", "radians", math.pi),
        (f"{axis}_fov", "degrees", 180.0),
    ):
        if name in entry:
            angle = real(entry, name, where)
            if not 0 < angle < half_turn:
                raise DataError(
                    f"{where}: {name} is {angle:.4g}: need {unit}, between 0 and {half_turn:.4g}"
                )
            return 0.5 * side / math.tan(0.5 * angle * math.pi / half_turn)
    return None
