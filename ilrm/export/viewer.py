"""A scene as a self-contained HTML file: viser's viewer with the splats embedded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from ilrm.cameras import Cameras
from ilrm.errors import IlrmError
from ilrm.gaussians import Gaussians
from ilrm.system.files import atomic_path

if TYPE_CHECKING:
    import viser

# On file:// pages, browsers reject module workers created from blobs, which viser uses to sort the splats by
# depth. Without this script, splats would be drawn in file order.
SORTING = """<script>
if (location.protocol === "file:") {
  const code = new Map(), PlainBlob = Blob, PlainWorker = Worker, create = URL.createObjectURL;
  window.Blob = class extends PlainBlob {
    constructor(parts, options) { super(parts, options); this.parts = parts; }
  };
  URL.createObjectURL = (blob) => {
    const url = create.call(URL, blob);
    if (blob.type.startsWith("text/javascript")) code.set(url, blob.parts);
    return url;
  };
  window.Worker = class extends PlainWorker {
    constructor(url, options) {
      const text = (part) => typeof part === "string" ? part : new TextDecoder().decode(part);
      const parts = code.get(url);
      super(parts ? "data:text/javascript," + encodeURIComponent(parts.map(text).join("")) : url, options);
    }
  };
}
</script>
"""


# shown over the scene until the first click
HELP = """<div id="help" style="position:fixed;left:12px;bottom:12px;padding:8px 12px;border-radius:6px;
font:14px sans-serif;color:#222;background:rgba(255,255,255,.85);z-index:9999"><b>{title}</b><br>
drag: turn &middot; right drag: move &middot; wheel: zoom &middot; W A S D Q E: fly</div>
<script>
addEventListener("pointerdown", () => document.getElementById("help").remove(), {{once: true}});
</script>
"""


def write_viewer(
    gaussians: Gaussians, cameras: Cameras, depth: float, path: Path, title: str
) -> None:
    """Write a viewer for the Gaussians of one scene (B = 1) with the frustums of cameras [1, V].

    The initial view is that of the camera in the middle; `depth` is the distance from it to the orbit centre,
    in the unit of the Gaussians. The file needs about 40 bytes per Gaussian. Raises IlrmError if viser is
    not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise IlrmError(
            f"{path}: the viewer needs viser, which cannot be imported ({error}): run pip install viser"
        ) from error

    with _quiet():  # viser would announce its temporary server
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            _add(server, gaussians, cameras, depth)
            html = server.scene.as_html()
        finally:
            server.stop()
    with atomic_path(path) as temporary:
        temporary.write_text(_with_words(html, title), encoding="utf-8")


def _with_words(html: str, title: str) -> str:
    """Add a title and a line of help to the page, and the script that sorts splats on file:// pages."""
    name = escape(title)
    html = re.sub(r"<title>.*?</title>", "", html, count=1, flags=re.DOTALL)
    html = html.replace("<head>", f"<head><title>{name}</title>{SORTING}", 1)
    body = re.search(r"<body[^>]*>", html)
    at = body.end() if body else len(html)
    return html[:at] + HELP.format(title=name) + html[at:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress viser's messages, which it prints with rich, on stdout and in notebooks."""
    import rich

    console = rich.get_console()
    was, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = was


def _add(server: viser.ViserServer, gaussians: Gaussians, cameras: Cameras, depth: float) -> None:
    c2w = cameras.c2w[0].double().cpu().numpy()
    places = c2w[:, :3, 3]
    first = c2w[np.linalg.norm(places - places.mean(0), axis=1).argmin()]
    up = -c2w[:, :3, 1].mean(0)
    server.scene.set_up_direction(tuple(up / np.linalg.norm(up)))
    server.initial_camera.position = tuple(first[:3, 3])
    server.initial_camera.look_at = tuple(first[:3, 3] + depth * first[:3, 2])
    fov = 2 * np.arctan(0.5 * cameras.height / float(cameras.fxfycxcy[0, 0, 1]))
    server.initial_camera.fov = float(fov)
    server.scene.add_gaussian_splats(
        "/scene",
        centers=gaussians.means[0].detach().cpu().numpy(),
        covariances=covariances(gaussians).astype(np.float32),
        rgbs=gaussians.colors[0].detach().cpu().clamp(0, 1).numpy(),
        opacities=gaussians.opacities[0, :, None].detach().cpu().numpy(),
    )
    for i, pose in enumerate(c2w):
        server.scene.add_camera_frustum(
            f"/input views/{i}",
            fov=float(fov),
            aspect=cameras.width / cameras.height,
            scale=0.05 * depth,
            position=pose[:3, 3],
            wxyz=Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True),
            visible=False,
        )


def covariances(gaussians: Gaussians) -> np.ndarray:
    """Covariance matrices [G, 3, 3] of the Gaussians of one scene."""
    quats = gaussians.quats[0].detach().cpu().double().numpy()
    rotation = Rotation.from_quat(quats, scalar_first=True).as_matrix()
    axes = rotation * gaussians.scales[0].detach().cpu().double().numpy()[:, None, :]
    return axes @ axes.transpose(0, 2, 1)
