"""Command line: a capture to a scene folder.

`python -m ilrm.reconstruct CAPTURE --weights W --out scene/` writes scene.ply (3D-GS format, in the capture's
world), viewer.html, flythrough.mp4, renders/ and depth/ of held-out frames, comparison.png, per_view.csv,
metrics.json and diagnosis.json: likely causes where the quality is poor.
"""

import argparse
import sys
from pathlib import Path

import torch

from ilrm.cameras import Cameras
from ilrm.command_line import one_line_errors
from ilrm.diagnosis import diagnose
from ilrm.evaluation import measure, summarize
from ilrm.files import atomic_path, write_json
from ilrm.flythrough import render_video, smooth_path
from ilrm.opening import add_capture_arguments, open_capture
from ilrm.pictures import comparison, depth_image, depth_limits, to_image
from ilrm.ply import write_ply
from ilrm.pretrained import Weights
from ilrm.reconstruction import Reconstruction, larger, reconstruct
from ilrm.rendering import Rendering, render
from ilrm.viewer import write_viewer

VIDEO_FRAMES = 120  # five seconds
VIDEO_SIDE = 480  # pixels, the longer side


@torch.no_grad()
def write_scene(found: Reconstruction, out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Everything about a reconstruction into a folder; returns the held-out metrics (`summarize`)."""
    device = found.gaussians.means.device
    batch = found.batch.to(device)
    rendering = render(found.gaussians, batch.targets.cameras, depth=True)
    assert rendering.depths is not None
    limits = depth_limits(rendering.depths[0])
    for i, frame in enumerate(found.targets):
        name = f"{Path(found.scene.names[frame]).stem}.png"
        for folder, image in (
            ("renders", to_image(rendering.images[0, i])),
            ("depth", depth_image(rendering.depths[0, i, 0], limits)),
        ):
            with atomic_path(out / folder / name) as beside:
                image.save(beside)
    with atomic_path(out / "comparison.png") as beside:
        comparison(found.batch, rendering).save(beside)
    write_ply(found.world_gaussians, out / "scene.ply")
    _write_viewer(found, rendering, out / "viewer.html")
    path = smooth_path(larger(batch.inputs.cameras, VIDEO_SIDE), VIDEO_FRAMES)
    render_video(found.gaussians, path, out / "flythrough.mp4")
    rows = measure(found.scene.key, found.targets, batch, rendering)
    with atomic_path(out / "per_view.csv") as beside:
        rows.to_csv(beside, index=False, float_format="%.6g")
    summary = summarize(rows)
    names = [found.scene.names[i] for i in found.inputs]
    write_json(
        out / "metrics.json",
        {"inputs": names, "gaussians": len(found.gaussians), "summary": summary},
    )
    return summary


def _write_viewer(found: Reconstruction, rendering: Rendering, path: Path) -> None:
    """In the capture's world, orbiting the median depth."""
    assert rendering.depths is not None
    near_to_far = rendering.depths[rendering.depths > 0]
    depth = float(near_to_far.median()) if near_to_far.numel() else 1.0
    inputs = found.batch.inputs.cameras
    world = Cameras.from_fxfycxcy(
        inputs.fxfycxcy, found.scene.c2w[list(found.inputs)][None], inputs.height, inputs.width
    )
    write_viewer(found.world_gaussians, world, depth / float(found.to_scene.scale[0]), path)


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


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Writes the scene's folder and prints its metrics. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ilrm.reconstruct", description=__doc__)
    add_capture_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--choice", choices=("kmeans", "even"), default="kmeans",
                        help="how input views are chosen; default: %(default)s")  # fmt: skip
    parser.add_argument("--refine", type=int, default=0, metavar="STEPS",
                        help="optimise on the input views for so many steps, e.g. 10")  # fmt: skip
    options = parser.parse_args(arguments)
    scene, weights, views, framing = open_capture(
        options.capture, options.weights, options.views, options.size, options.images
    )
    found = reconstruct(scene, weights, views, framing, options.choice, options.refine)
    summary = write_scene(found, options.out)
    print(
        f"{len(found.gaussians):,} Gaussians from {views} of {len(scene)} frames at "
        f"{framing.height}x{framing.width}; {len(found.targets)} held-out frames, mean:"
    )
    for method, metrics in summary.items():
        values = ", ".join(f"{name} {value['mean']:.3f}" for name, value in metrics.items())
        print(f"{method:>12}: {values}")
    for line in write_diagnosis(found, weights, summary, options.out):
        print(f"diagnosis: {line}")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
