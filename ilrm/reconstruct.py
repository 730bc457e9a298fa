"""Reconstruct a capture into a scene folder.

`python -m ilrm.reconstruct CAPTURE --out scene/` writes scene.ply (3D-GS format, in the capture's world
coordinates), viewer.html, flythrough.webm and flythrough.mp4, renders/ and depth/ of the held-out frames,
comparison.png, per_view.csv, metrics.json, and diagnosis.json with likely causes of poor quality.
"""

import argparse
import sys
from pathlib import Path

from ilrm.ranges import check_option
from ilrm.reconstruction.arguments import add_capture_arguments, capture_options
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the capture, the output folder, and the kind of refinement."""
    add_capture_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--all", action="store_true", dest="everything",
                        help="reconstruct all frames, in parts that are merged")  # fmt: skip
    parser.add_argument("--refine", type=int, default=0, metavar="STEPS",
                        help="number of refinement steps on the input views, e.g. 10")  # fmt: skip
    parser.add_argument("--splat", type=float, metavar="SECONDS",
                        help="optimise the scene on the input views for SECONDS seconds (3D-GS)")  # fmt: skip


def perform(options: argparse.Namespace) -> int:
    """Write the scene folder and print its metrics."""
    for name in ("views", "refine", "splat"):
        check_option(name, getattr(options, name))

    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.export.scene_folder import check_out, write_scene
    from ilrm.reconstruction.inputs import open_capture
    from ilrm.reconstruction.timed_splatting import splat_for

    check_out(options.out)
    opened = open_capture(**capture_options(options), everything=options.everything)
    print(opened.about)
    reconstruction, splatted = opened.reconstruct(options.refine), None
    if options.splat is not None:
        splatted = splat_for(reconstruction, options.splat)
        print(f"3D-GS started from {splatted.start}: {len(splatted.curve)} points in splat.csv")
        reconstruction = splatted.reconstruction
    written = write_scene(reconstruction, opened.weights, options.out, splatted)
    print(
        f"{len(reconstruction.gaussians):,} Gaussians; mean over {len(reconstruction.targets)} held-out "
        "frames:"
    )
    for method, metrics in written.summary.items():
        values = ", ".join(f"{name} {value['mean']:.3f}" for name, value in metrics.items())
        print(f"{method:>12}: {values}")
    for line in written.findings:
        print(f"diagnosis: {line}")
    print(options.out)
    return 0


main = Command("python -m ilrm.reconstruct", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
