"""Gaussians as PLY files in the 3D-GS format, which splat viewers and editors can open.

Binary little-endian, one vertex per Gaussian: x y z, nx ny nz (zero), f_dc (SH of degree 0: colour = 0.5 +
0.2821 f_dc), f_rest (higher degrees, channel by channel), opacity (logit), scale (log), rot (wxyz).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ilrm.errors import IlrmError
from ilrm.gaussians import OPACITY_RANGE, SH_DEGREE_0, Gaussians
from ilrm.system.files import atomic_path
from ilrm.system.found_instead import describe_content, describe_path

LONGEST_HEADER = 1 << 20  # bytes
_REST = (0, 9, 24, 45)  # number of f_rest properties for SH degrees 0 to 3
_BYTE_ORDER = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip


def write_ply(gaussians: Gaussians, path: Path) -> None:
    """Write the Gaussians of one scene (B = 1), in their own coordinates. Raises IlrmError if B > 1."""
    if gaussians.means.shape[0] != 1:
        raise IlrmError(
            f"{path}: a PLY file contains one scene, not {gaussians.means.shape[0]}: write one file per scene"
        )
    colors = gaussians.colors[0].detach().cpu().double()
    if colors.dim() == 2:
        colors = ((colors - 0.5) / SH_DEGREE_0)[:, None]  # [G, 1, 3]
    opacity = gaussians.opacities[0].detach().cpu().double().clamp(*OPACITY_RANGE)
    rest = colors[:, 1:].transpose(1, 2).flatten(1)  # [G, 3 (K - 1)], channel by channel
    columns = {
        **_named(("x", "y", "z"), gaussians.means[0]),
        **_named(("nx", "ny", "nz"), torch.zeros(len(gaussians), 3)),
        **_named([f"f_dc_{i}" for i in range(3)], colors[:, 0]),
        **_named([f"f_rest_{i}" for i in range(rest.shape[1])], rest),
        "opacity": torch.logit(opacity),
        **_named([f"scale_{i}" for i in range(3)], gaussians.scales[0].double().log()),
        **_named([f"rot_{i}" for i in range(4)], gaussians.quats[0]),
    }
    rows = np.empty(len(gaussians), [(name, "<f4") for name in columns])
    for name, column in columns.items():
        rows[name] = column.detach().cpu().numpy()
    header = "\n".join(
        ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
        + [f"property float {name}" for name in columns]
        + ["end_header\n"]
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(header.encode() + rows.tobytes())


def _named(names, columns: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip(names, columns.unbind(-1), strict=True))


def read_ply(path: Path) -> Gaussians:
    """Read the Gaussians of a 3D-GS PLY file, ASCII or binary (B = 1); colours are SH coefficients
    [1, G, K, 3].

    Raises IlrmError on a file that is missing, truncated, not PLY, without the properties of 3D-GS, or with
    values that are not finite.
    """
    rows = _vertices(path)
    names = rows.dtype.names or ()
    rest = [f"f_rest_{i}" for i in range(sum(n.startswith("f_rest_") for n in names))]
    needed = ["x", "y", "z", "opacity", *rest]
    needed += [f"f_dc_{i}" for i in range(3)] + [f"scale_{i}" for i in range(3)]
    needed += [f"rot_{i}" for i in range(4)]
    missing = [name for name in needed if name not in names]
    if missing or len(rest) not in _REST:
        problem = f"it has no {', '.join(missing)}" if missing else f"it has {len(rest)} f_rest"
        raise IlrmError(
            f"{path} is not a 3D-GS file, {problem}: export compressed splats as plain PLY"
        )

    def columns(*wanted: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([rows[n].astype(np.float32) for n in wanted], 1))[None]

    colors = columns(*(f"f_dc_{i}" for i in range(3)))[:, :, None]  # [1, G, 1, 3]
    if rest:
        colors = torch.cat([colors, columns(*rest).unflatten(2, (3, -1)).transpose(2, 3)], 2)
    means, rotations = columns("x", "y", "z"), columns(*(f"rot_{i}" for i in range(4)))
    scales = columns(*(f"scale_{i}" for i in range(3))).exp()
    opacities = torch.sigmoid(columns("opacity")[..., 0])  # a logit may be infinite
    values = torch.cat([means, rotations, scales, opacities[..., None], colors.flatten(2)], 2)
    usable = torch.isfinite(values).all(2) & (rotations != 0).any(2)
    if not usable.all():
        raise IlrmError(
            f"{path}: {int((~usable).sum())} of {usable.numel()} Gaussians have values that are not finite, "
            "or no rotation: remove them"
        )
    quats = torch.nn.functional.normalize(rotations, dim=-1)
    return Gaussians(means, quats, scales, opacities, colors)


def _vertices(path: Path) -> np.ndarray:
    """The vertices as a structured array. Raises IlrmError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        unread = f"cannot be read ({error.strerror}): check the path"
        raise IlrmError(f"{path} {describe_path(path) or unread}") from error
    try:
        form, elements, body = _header(data)
        return _element(form, elements, body)
    except ValueError as error:
        if (words := describe_content(data)) is not None:
            raise IlrmError(f"{path} {words}") from error
        raise IlrmError(f"{path}: {error}: export it as 3D-GS PLY") from error


@dataclass
class _Element:
    """A declared element: its name, number of entries, and properties as (name, NumPy type)."""

    name: str
    count: int
    fields: list[tuple[str, str]]
    has_lists: bool = False


def _header(data: bytes) -> tuple[str, list[_Element], bytes]:
    """Format, elements and the data after the header. Raises ValueError on an invalid header."""
    end = re.search(rb"^end_header[ \t]*(\r\n|\n|\r)", data[:LONGEST_HEADER], re.MULTILINE)
    lines = data[: end.start()].decode("ascii", "replace").splitlines() if end else [""]
    if end is None or lines[0].strip() != "ply":
        raise ValueError("it is not a PLY file, or its header is damaged")
    form, elements = "", []
    for line in lines[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and words[1] in _BYTE_ORDER:
            form = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal():
            elements.append(_Element(words[1], int(words[2]), []))
        elif words[0] == "property" and elements and words[1:2] == ["list"]:
            elements[-1].has_lists = True
        elif words[0] == "property" and elements and len(words) == 3 and words[1] in _TYPES:
            elements[-1].fields.append((words[2], _TYPES[words[1]]))
        else:
            raise ValueError(f"line {line.strip()!r:.60} of its header is not understood")
    if not form:
        raise ValueError("its header has no format")
    return form, elements, data[end.end() :]


def _element(form: str, elements: list[_Element], body: bytes) -> np.ndarray:
    """The vertices; elements before them are skipped. Raises ValueError."""
    before: list[_Element] = []
    for element in elements:
        names = [name for name, _ in element.fields]
        if element.name == "vertex":
            break
        before.append(element)
    else:
        raise ValueError("it has no vertices")
    if element.has_lists or any(other.has_lists for other in before):
        raise ValueError("it has lists of properties in or before its vertices")
    if not names:
        raise ValueError("its vertices have no properties")
    if len(set(names)) < len(names):
        raise ValueError("a property of its vertices is declared twice")
    if form == "ascii":
        first = sum(other.count for other in before)
        rows = [line.split() for line in body.split(b"\n") if line.strip()]
        rows = rows[first : first + element.count]
        if len(rows) < element.count or any(len(row) != len(names) for row in rows):
            raise ValueError(
                f"it is truncated: {len(rows)} whole lines for {element.count} Gaussians"
            )
        table = np.empty(len(rows), [(name, "f8") for name in names])
        for column, name in enumerate(names):
            table[name] = [float(row[column]) for row in rows]
        return table
    order = _BYTE_ORDER[form]
    kinds = [
        np.dtype([(n, order + t) for n, t in part.fields] or "V0") for part in (*before, element)
    ]
    skip = sum(part.count * kind.itemsize for part, kind in zip(before, kinds, strict=False))
    if len(body) < skip + element.count * kinds[-1].itemsize:
        raise ValueError(
            f"it is truncated: {max(len(body) - skip, 0)} bytes for {element.count} Gaussians of "
            f"{kinds[-1].itemsize} bytes each"
        )
    return np.frombuffer(body, kinds[-1], element.count, skip)
