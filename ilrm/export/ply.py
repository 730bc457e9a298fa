"""Gaussians as PLY files in the 3D-GS format, which splat viewers and editors can open.

Binary little-endian, one vertex per Gaussian: x y z, nx ny nz (zero), f_dc (SH of degree 0: colour = 0.5 +
0.2821 f_dc), f_rest (higher degrees, channel by channel), opacity (logit), scale (log), rot (wxyz).
"""

from pathlib import Path

import numpy as np
import torch

from ilrm.errors import IlrmError
from ilrm.gaussians import OPACITY_RANGE, SH_DEGREE_0, Gaussians
from ilrm.system.files import atomic_path

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4",
    "float": "<f4", "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2",
    "int32": "<i4", "uint32": "<u4", "float32": "<f4", "float64": "<f8",
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
    """Read the Gaussians of a 3D-GS PLY file (B = 1); colours are SH coefficients [1, G, K, 3].

    Raises IlrmError on a file that is missing, truncated, not PLY, or without the properties of 3D-GS.
    """
    rows = _vertices(path)
    names = rows.dtype.names or ()
    rest = sorted(
        (n for n in names if n.startswith("f_rest_")), key=lambda n: int(n.rpartition("_")[2])
    )
    needed = ["x", "y", "z", "opacity"]
    needed += [f"f_dc_{i}" for i in range(3)] + [f"scale_{i}" for i in range(3)]
    needed += [f"rot_{i}" for i in range(4)]
    missing = [name for name in needed if name not in names]
    if missing or len(rest) % 3:
        raise IlrmError(
            f"{path} is not a 3D-GS file, it has no "
            f"{', '.join(missing) or 'whole number of f_rest per channel'}: export compressed splats as "
            "plain PLY"
        )

    def columns(*wanted: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([rows[n].astype(np.float32) for n in wanted], 1))[None]

    colors = columns(*(f"f_dc_{i}" for i in range(3)))[:, :, None]  # [1, G, 1, 3]
    if rest:
        colors = torch.cat([colors, columns(*rest).unflatten(2, (3, -1)).transpose(2, 3)], 2)
    return Gaussians(
        means=columns("x", "y", "z"),
        quats=torch.nn.functional.normalize(columns(*(f"rot_{i}" for i in range(4))), dim=-1),
        scales=columns(*(f"scale_{i}" for i in range(3))).exp(),
        opacities=torch.sigmoid(columns("opacity")[..., 0]),
        colors=colors,
    )


def _vertices(path: Path) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IlrmError(f"{path} cannot be read ({error.strerror}): check the path") from error
    head, end, body = data.partition(b"end_header\n")
    lines = head.decode("ascii", "replace").split("\n")
    if not end or lines[0].strip() != "ply" or "binary_little_endian" not in lines[1]:
        raise IlrmError(f"{path} is not a binary little-endian PLY file: export it as one")
    count = 0
    fields: list[tuple[str, str]] = []
    element = ""
    for line in lines[2:]:
        words = line.split()
        if words[:1] == ["element"]:
            element = words[1]
            if element == "vertex":
                count = int(words[2])
            elif not fields:
                raise IlrmError(
                    f"{path}: {element} comes before its vertices: export it as 3D-GS PLY"
                )
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _TYPES:
                raise IlrmError(
                    f"{path}: property {' '.join(words[1:])} is not supported: export it as 3D-GS PLY"
                )
            fields.append((words[2], _TYPES[words[1]]))
    kind = np.dtype(fields)
    if len(body) < count * kind.itemsize:
        raise IlrmError(
            f"{path} is truncated: {len(body)} bytes for {count} Gaussians of {kind.itemsize} bytes each: "
            "export it again"
        )
    return np.frombuffer(body, kind, count)
