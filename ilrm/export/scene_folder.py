"""Scene folders: splats, viewer, video, pictures of the held-out frames, metrics, diagnosis."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ilrm.cameras import Cameras
from ilrm.errors import ConfigError
from ilrm.evaluation.baselines import Baselines
from ilrm.evaluation.scoring import measure
from ilrm.evaluation.summary import summarize
from ilrm.export.comparison import Comparison, stages
from ilrm.export.pictures import depth_image, depth_limits, to_image
from ilrm.export.ply import write_ply
from ilrm.export.video import flight_order, render_video, smooth_path
from ilrm.export.viewer import write_viewer
from ilrm.reconstruction.diagnosis import diagnose
from ilrm.reconstruction.predict import Reconstruction, larger
from ilrm.reconstruction.timed_splatting import Splatted
from ilrm.rendering import Rendering
from ilrm.system.files import atomic_folder, check_folder, file_name, is_folder, write_json
from ilrm.weights.state import Weights

VIDEO_FRAMES = 96  # four seconds
VIDEO_SIDE = 400  # pixels of the longer side
CURVE = "splat.csv"
VIDEOS = ("flythrough.webm", "flythrough.mp4")

FILES = {
    "scene.ply", "viewer.html", *VIDEOS, "renders", "depth", "comparison.png", "per_view.csv",
    "metrics.json", "diagnosis.json", CURVE,
}  # fmt: skip


def check_out(out: Path) -> None:
    """Raise ConfigError if `out` is a file or a folder that contains anything other than an earlier scene."""
    check_folder(out)
    if out.is_dir():
        others = {path.name for path in out.iterdir()} - FILES
        pictures = (path for name in ("renders", "depth") for path in (out / name).rglob("*"))
        others |= {path.name for path in pictures if path.is_file() and path.suffix != ".png"}
        if others:
            raise ConfigError(
                f"{out} contains {min(others)}, which is not part of a scene: choose another folder"
            )
        if any(out.iterdir()) and not (out / "metrics.json").is_file():
            raise ConfigError(
                f"{out} is not empty and is not a scene folder: choose another folder"
            )


def scene_folder(capture: Path, scenes: Path) -> Path:
    """The folder of a capture in `scenes`, named by its name and its path, as names may repeat."""
    place = capture.resolve()
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    return scenes / f"{file_name(place.name)}-{digest}-scene"


@dataclass(frozen=True)
class Written:
    """Results in a scene folder."""

    summary: dict[str, dict[str, dict[str, float]]]  # held-out metrics (`summarize`)
    findings: list[str]  # lines of the diagnosis
    compared: dict[str, float]  # mean PSNR in dB of the columns of comparison.png


def write_scene(
    reconstruction: Reconstruction, weights: Weights, out: Path, splatted: Splatted | None = None
) -> Written:
    """Write a reconstruction to a scene folder, with the held-out curve of the 3D-GS that made it, if any.

    An earlier scene in the folder is replaced as a whole, once everything is written. Raises ConfigError
    (`check_out`).
    """
    check_out(out)
    if is_folder(out) and any(out.iterdir()):
        print(f"the earlier scene in {out} is replaced")
    with atomic_folder(out.resolve()) as temporary:
        if splatted is not None:
            splatted.curve.to_csv(temporary / CURVE, index=False)
        return _write(reconstruction, weights, temporary)


@torch.no_grad()
def _write(reconstruction: Reconstruction, weights: Weights, out: Path) -> Written:
    scene = reconstruction.evaluation_scene
    baselines = Baselines.of([scene])
    renderings = stages(reconstruction)
    rendering = list(renderings.values())[-1]
    assert rendering.depths is not None
    limits = depth_limits(rendering.depths[0])
    for i, name in enumerate(_pictures(reconstruction)):
        for folder, image in (
            ("renders", to_image(rendering.images[0, i])),
            ("depth", depth_image(rendering.depths[0, i, 0], limits)),
        ):
            (out / folder).mkdir(exist_ok=True)
            image.save(out / folder / name)
    compared = Comparison.of(scene.batch, baselines.plane, renderings)
    compared.draw().save(out / "comparison.png")
    write_ply(reconstruction.world_gaussians, out / "scene.ply")
    _write_viewer(reconstruction, rendering, out / "viewer.html")
    path = smooth_path(larger(_flight(reconstruction), VIDEO_SIDE), VIDEO_FRAMES)
    render_video(reconstruction.gaussians, path, *(out / name for name in VIDEOS))
    rows = measure(scene, rendering, baselines)
    rows.to_csv(out / "per_view.csv", index=False, float_format="%.6g")
    summary = summarize(rows)
    diagnosis = diagnose(reconstruction, weights, summary)
    write_json(out / "diagnosis.json", vars(diagnosis))
    names = [reconstruction.scene.names[i] for i in reconstruction.inputs]
    write_json(
        out / "metrics.json",
        {"inputs": names, "gaussians": len(reconstruction.gaussians), "summary": summary},
    )
    return Written(summary, diagnosis.findings, compared.psnr)


def _flight(reconstruction: Reconstruction) -> Cameras:
    """Cameras [1, N] along the flight: those of the capture itself, in scene units."""
    inputs = reconstruction.batch.inputs.cameras
    frames = set(reconstruction.frames)
    c2w = reconstruction.scene.c2w[[i for i in reconstruction.scene.sequence if i in frames]]
    c2w = c2w[flight_order(c2w)][None].double()
    fxfycxcy = inputs.fxfycxcy.mean(1, keepdim=True).expand(-1, c2w.shape[1], -1)
    cameras = Cameras.from_fxfycxcy(fxfycxcy, c2w, inputs.height, inputs.width)
    device = reconstruction.gaussians.means.device
    return reconstruction.batch.normalization(cameras).float().to(device)


def _pictures(reconstruction: Reconstruction) -> list[str]:
    """Picture file names for the held-out frames, derived from the names of the photos."""
    bare = [str(Path(name).with_suffix("")) for name in reconstruction.scene.names]
    distinct = len(set(bare)) == len(bare)  # a.jpg and a.png keep their suffixes
    names = bare if distinct else reconstruction.scene.names
    return [f"{file_name(names[frame])}.png" for frame in reconstruction.targets]


def _write_viewer(reconstruction: Reconstruction, rendering: Rendering, path: Path) -> None:
    """Write a viewer in the capture's world coordinates that orbits a point at the median depth."""
    assert rendering.depths is not None
    near_to_far = rendering.depths[rendering.depths > 0]
    depth = float(near_to_far.median()) if near_to_far.numel() else 1.0
    inputs = reconstruction.batch.inputs.cameras
    world = Cameras.from_fxfycxcy(
        inputs.fxfycxcy,
        reconstruction.scene.c2w[list(reconstruction.inputs)][None],
        inputs.height,
        inputs.width,
    )
    write_viewer(
        reconstruction.world_gaussians,
        world.float(),
        depth / float(reconstruction.batch.normalization.scale[0]),
        path,
        reconstruction.scene.key,
    )
