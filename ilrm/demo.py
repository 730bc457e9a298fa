"""Reconstruct photos as a scene of 3D Gaussians in half a minute on a CPU, with the packaged weights.

The photos are rendered from a procedural room, or those of a capture of yours. A plane warp, which learns
nothing, is shown beside the model's renders.
"""

import argparse
import sys
from pathlib import Path

from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the capture and the output folder."""
    parser.add_argument(
        "--capture",
        type=Path,
        metavar="FOLDER",
        help="your own posed photos (COLMAP, nerfstudio, ...); default: a procedural room",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write; default: one in runs/demo/"
    )


def perform(options: argparse.Namespace) -> int:
    """Write the scene; print its folder, its quality and the diagnosis."""
    what = options.capture or "a procedural room"
    print(f"reconstructing {what}: half a minute on two cores, more the first time", flush=True)
    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.export.demonstration import demonstrate

    shown = demonstrate(options.capture, options.out)
    print(f"{shown.about}: {shown.seconds:.1f} s")
    print("mean PSNR on the held-out photos:", *shown.quality, sep="\n")
    print(*(f"diagnosis: {line}" for line in shown.written.findings), *shown.places, sep="\n")
    return 0


main = Command("python -m ilrm.demo", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
