"""Command line: a capture to a scene folder.

`python -m ilrm.reconstruct CAPTURE --weights W --out scene/` writes scene.ply (3D-GS format, in the capture's
world), viewer.html, flythrough.mp4, renders/ and depth/ of held-out frames, comparison.png, per_view.csv,
metrics.json and diagnosis.json: likely causes where the quality is poor.
"""

import argparse
import sys
from pathlib import Path

from ilrm.system.cli import add_capture_arguments, one_line_errors


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

    # torch and the rest take seconds to import, which --help does not wait for
    from ilrm.export.scene_folder import check_out, write_diagnosis, write_scene
    from ilrm.reconstruction.inputs import open_capture
    from ilrm.reconstruction.predict import reconstruct

    scene, weights, views, framing = open_capture(
        options.capture, options.weights, options.views, options.size, options.images
    )
    check_out(options.out)
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
