"""The folder of a scene: splats, viewer, video, pictures of held-out frames, metrics, diagnosis."""

from pathlib import Path

import torch

from ilrm.cameras import Cameras
from ilrm.errors import ConfigError
from ilrm.evaluation.scoring import measure
from ilrm.evaluation.summary import summarize
from ilrm.export.pictures import comparison, depth_image, depth_limits, to_image
from ilrm.export.ply import write_ply
from ilrm.export.video import render_video, smooth_path
from ilrm.export.viewer import write_viewer
from ilrm.reconstruction.diagnosis import diagnose
from ilrm.reconstruction.predict import Reconstruction, larger
from ilrm.rendering import Rendering, render
from ilrm.system.files import atomic_folder, check_folder, file_name, write_json
from ilrm.weights.state import Weights

VIDEO_FRAMES = 120  # five seconds
VIDEO_SIDE = 480  # pixels, the longer side


FILES = {
    "scene.ply", "viewer.html", "flythrough.mp4", "renders", "depth", "comparison.png", "per_view.csv",
    "metrics.json", "diagnosis.json",
}  # fmt: skip


def check_out(out: Path) -> None:
    """Raises ConfigError on a file, or a folder that holds anything but an earlier scene (which goes)."""
    check_folder(out)
    if out.is_dir():
        others = {path.name for path in out.iterdir()} - FILES
        pictures = (path for name in ("renders", "depth") for path in (out / name).rglob("*"))
        others |= {path.name for path in pictures if path.is_file() and path.suffix != ".png"}
        if others:
            raise ConfigError(
                f"{out} holds {min(others)}, which is no part of a scene: choose another folder"
            )
        if any(out.iterdir()) and not (out / "metrics.json").is_file():
            raise ConfigError(f"{out} is not empty and holds no scene: choose another folder")


def write_scene(found: Reconstruction, out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Everything about a reconstruction into a folder; returns the held-out metrics (`summarize`).

    A folder with an earlier scene is replaced as a whole. Raises ConfigError (`check_out`).
    """
    check_out(out)
    with atomic_folder(out.resolve()) as beside:
        return _write(found, beside)


@torch.no_grad()
def _write(found: Reconstruction, out: Path) -> dict[str, dict[str, dict[str, float]]]:
    device = found.gaussians.means.device
    batch = found.batch.to(device)
    rendering = render(found.gaussians, batch.targets.cameras, depth=True)
    assert rendering.depths is not None
    limits = depth_limits(rendering.depths[0])
    for i, name in enumerate(_pictures(found)):
        for folder, image in (
            ("renders", to_image(rendering.images[0, i])),
            ("depth", depth_image(rendering.depths[0, i, 0], limits)),
        ):
            (out / folder).mkdir(exist_ok=True)
            image.save(out / folder / name)
    comparison(found.batch, rendering).save(out / "comparison.png")
    write_ply(found.world_gaussians, out / "scene.ply")
    _write_viewer(found, rendering, out / "viewer.html")
    path = smooth_path(larger(batch.inputs.cameras, VIDEO_SIDE), VIDEO_FRAMES)
    render_video(found.gaussians, path, out / "flythrough.mp4")
    rows = measure(found.scene.key, found.targets, batch, rendering)
    rows.to_csv(out / "per_view.csv", index=False, float_format="%.6g")
    summary = summarize(rows)
    names = [found.scene.names[i] for i in found.inputs]
    write_json(
        out / "metrics.json",
        {"inputs": names, "gaussians": len(found.gaussians), "summary": summary},
    )
    return summary


def _pictures(found: Reconstruction) -> list[str]:
    """File names of the held-out frames' pictures, after the photos'."""
    bare = [str(Path(name).with_suffix("")) for name in found.scene.names]
    distinct = len(set(bare)) == len(bare)  # a.jpg beside a.png keep their suffixes
    names = bare if distinct else found.scene.names
    return [f"{file_name(names[frame])}.png" for frame in found.targets]


def _write_viewer(found: Reconstruction, rendering: Rendering, path: Path) -> None:
    """In the capture's world, orbiting the median depth."""
    assert rendering.depths is not None
    near_to_far = rendering.depths[rendering.depths > 0]
    depth = float(near_to_far.median()) if near_to_far.numel() else 1.0
    inputs = found.batch.inputs.cameras
    world = Cameras.from_fxfycxcy(
        inputs.fxfycxcy, found.scene.c2w[list(found.inputs)][None], inputs.height, inputs.width
    )
    write_viewer(
        found.world_gaussians,
        world.float(),
        depth / float(found.batch.normalization.scale[0]),
        path,
    )


def write_diagnosis(
    found: Reconstruction,
    weights: Weights,
    summary: dict[str, dict[str, dict[str, float]]],
    out: Path,
) -> list[str]:
    """diagnosis.json; returns its findings, one line each."""
    diagnosis = diagnose(found, weights, summary)
    write_json(out / "diagnosis.json", vars(diagnosis))
    return diagnosis.findings
