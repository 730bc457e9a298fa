"""PLY in the format of 3D-GS: the same picture after reading back, and by an independent reader."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from gsplat import exporter

from ilrm.cameras import Cameras, normalization
from ilrm.errors import IlrmError
from ilrm.export.ply import read_ply, write_ply
from ilrm.gaussians import SH_DEGREE_0, Gaussians
from ilrm.rendering import render
from tests.helpers import rotation_about_y, some_cameras


def some_gaussians(count=200, seed=0) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        means=torch.randn(1, count, 3, generator=g) + torch.tensor([0.0, 0.0, 4.0]),
        quats=torch.nn.functional.normalize(torch.randn(1, count, 4, generator=g), dim=-1),
        scales=0.02 + 0.2 * torch.rand(1, count, 3, generator=g),
        opacities=0.05 + 0.9 * torch.rand(1, count, generator=g),
        colors=torch.rand(1, count, 3, generator=g),
    )


def test_a_file_read_back_renders_the_same_image(tmp_path):
    gaussians, cameras = some_gaussians(), some_cameras(batch=1)
    write_ply(gaussians, tmp_path / "scene.ply")
    images = [render(g, cameras).images for g in (gaussians, read_ply(tmp_path / "scene.ply"))]
    assert images[0].std() > 0.05
    torch.testing.assert_close(*images, atol=2e-5, rtol=0)


def test_higher_degrees_survive(tmp_path):
    colors = torch.randn(1, 200, 4, 3, generator=torch.Generator().manual_seed(1))
    gaussians = replace(some_gaussians(), colors=colors)
    write_ply(gaussians, tmp_path / "scene.ply")
    torch.testing.assert_close(read_ply(tmp_path / "scene.ply").colors, colors)


def test_independent_readers_and_writers_agree(tmp_path):
    """trimesh reads the properties by name; gsplat's exporter writes the same vertices."""
    gaussians = some_gaussians()
    write_ply(gaussians, tmp_path / "scene.ply")
    mesh = trimesh.load(tmp_path / "scene.ply")
    np.testing.assert_allclose(mesh.vertices, gaussians.means[0], atol=1e-6)
    raw = mesh.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_allclose(raw["scale_1"].ravel(), gaussians.scales[0, :, 1].log(), atol=1e-5)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-raw["opacity"].ravel())), gaussians.opacities[0], atol=1e-5
    )
    exporter.export_splats(
        gaussians.means[0],
        gaussians.scales[0].log(),
        gaussians.quats[0],
        torch.logit(gaussians.opacities[0]),
        ((gaussians.colors[0] - 0.5) / SH_DEGREE_0)[:, None],
        torch.zeros(len(gaussians), 0, 3),
        save_to=str(tmp_path / "gsplat.ply"),
    )
    theirs = read_ply(tmp_path / "gsplat.ply")
    ours = read_ply(tmp_path / "scene.ply")
    for name in ("means", "quats", "scales", "opacities", "colors"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), msg=name)


def test_in_the_world_the_capture_s_own_cameras_see_the_same(tmp_path):
    """Rotations and sizes move with the positions."""
    seen = some_cameras(batch=1)
    world = torch.eye(4)
    world[:3, :3] = rotation_about_y(torch.tensor(0.8))
    world[:3, 3] = torch.tensor([3.0, -1.0, 5.0])
    c2w = world @ seen.c2w
    c2w[..., :3, 3] *= 2.5
    capture = Cameras.from_fxfycxcy(seen.fxfycxcy, c2w, seen.height, seen.width)
    to_scene = normalization(capture)
    cameras, gaussians = to_scene(capture), some_gaussians()
    images = render(gaussians, cameras).images
    assert images.std() > 0.05
    # the near plane counts in world units, so a few Gaussians very near a camera may differ
    torch.testing.assert_close(
        render(gaussians.to_world(to_scene), capture).images, images, atol=2e-3, rtol=0
    )


HEAD = b"ply\nformat binary_little_endian 1.0\n"
BROKEN = {
    "not PLY": (b"no ply", "is not a PLY file, or its header is damaged"),
    "no end": (HEAD + b"element vertex 1\n", "is not a PLY file, or its header is damaged"),
    "no format": (b"ply\nelement vertex 0\nend_header\n", "its header has no format"),
    "unknown format": (
        b"ply\nformat binary 1.0\nend_header\n",
        "line 'format binary 1.0' of its header",
    ),
    "no vertices": (HEAD + b"element face 0\nend_header\n", "it has no vertices"),
    "no count": (HEAD + b"element vertex\nend_header\n", "line 'element vertex' of its header"),
    "negative count": (
        HEAD + b"element vertex -1\nend_header\n",
        "line 'element vertex -1' of its",
    ),
    "unknown type": (
        HEAD + b"element vertex 1\nproperty half x\nend_header\n",
        "'property half x'",
    ),
    "property of nothing": (
        HEAD + b"property float x\nend_header\n",
        "'property float x' of its header",
    ),
    "a property twice": (
        HEAD + b"element vertex 0\nproperty float x\nproperty float x\nend_header\n",
        "is declared twice",
    ),
    "lists": (
        HEAD + b"element vertex 1\nproperty list uchar int i\nend_header\n",
        "it has lists of properties",
    ),
    "not of 3D-GS": (
        HEAD + b"element vertex 1\nproperty float x\nend_header\n0123",
        "is not a 3D-GS file, it has no y, z",
    ),
    "truncated": (
        HEAD + b"element vertex 2\nproperty float x\nend_header\n0123",
        "is truncated: 4 bytes for 2 Gaussians",
    ),
    "a count beyond the file": (
        HEAD + b"element vertex 99999999999999\nproperty float x\nend_header\n0123",
        "is truncated: 4 bytes for 99999999999999 Gaussians",
    ),
    "truncated text": (
        b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n",
        "is truncated: 1 whole lines for 2 Gaussians",
    ),
    "words for numbers": (
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\none\n",
        "could not convert string to float",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_are_none(case, tmp_path):
    content, message = BROKEN[case]
    (tmp_path / "scene.ply").write_bytes(content)
    with pytest.raises(IlrmError, match=message) as caught:
        read_ply(tmp_path / "scene.ply")
    assert "\n" not in str(caught.value)


def rewritten(data, form="binary_little_endian", newline="\n", before=(), extra=None):
    """The same Gaussians as another tool might write them."""
    head, _, body = data.partition(b"end_header\n")
    lines = head.decode().splitlines()
    names = [line.split()[2] for line in lines if line.startswith("property")]
    rows = np.frombuffer(body, [(name, "<f4") for name in names])
    properties = [f"property float {name}" for name in names]
    start = ["ply", "comment made elsewhere", f"format {form} 1.0", "obj_info 3", *before]
    header = newline.join([*start, f"element vertex {len(rows)}", *properties, "end_header", ""])
    if form == "ascii":
        table = [" ".join(f"{value:.9g}" for value in row.tolist()) for row in rows]
        body = newline.join([*table, ""]).encode()
    elif form == "binary_big_endian":
        body = rows.astype([(name, ">f4") for name in names]).tobytes()
    return header.encode() + (extra or b"") + body


@pytest.mark.parametrize(
    "how",
    [
        {"newline": "\r\n"},
        {"form": "ascii"},
        {"form": "ascii", "newline": "\r\n"},
        {"form": "binary_big_endian"},
        {
            "before": ["element camera 2", "property double f", "property uchar n"],
            "extra": bytes(18),
        },
    ],
    ids=str,
)
def test_files_of_other_tools(how, tmp_path):
    write_ply(some_gaussians(), tmp_path / "scene.ply")
    ours = read_ply(tmp_path / "scene.ply")
    (tmp_path / "other.ply").write_bytes(rewritten((tmp_path / "scene.ply").read_bytes(), **how))
    theirs = read_ply(tmp_path / "other.ply")
    for name in ("means", "quats", "scales", "opacities", "colors"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), msg=name)


@pytest.mark.parametrize("name", ["means", "scales", "colors"])
def test_values_that_are_not_finite(name, tmp_path):
    gaussians = some_gaussians()
    getattr(gaussians, name)[0, 3] = float("nan")
    write_ply(gaussians, tmp_path / "scene.ply")
    with pytest.raises(
        IlrmError, match=f"1 of {len(gaussians)} Gaussians have values that are not"
    ):
        read_ply(tmp_path / "scene.ply")


def test_a_missing_file_and_two_scenes(tmp_path):
    with pytest.raises(IlrmError, match=r"none\.ply cannot be read"):
        read_ply(tmp_path / "none.ply")
    two = some_gaussians()
    two = replace(two, means=two.means.repeat(2, 1, 1))
    with pytest.raises(IlrmError, match="one scene, not 2"):
        write_ply(two, tmp_path / "scene.ply")
