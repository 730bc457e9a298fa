"""Side-by-side renders of the best, median and worst scene.

`python -m reports.qualitative --weights W --beside W2 --refine 20 --data D --protocol P --out FOLDER` writes
qualitative.png, qualitative.pdf and qualitative.npz with the images shown. Without --data, it uses held-out
procedural rooms.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ilrm.config import check_views
from ilrm.data.batches import HeldOutScenes, open_scenes
from ilrm.data.frames.protocols import PROTOCOLS
from ilrm.data.procedural.samples import example_scenes
from ilrm.errors import ConfigError
from ilrm.runs.evaluation_runs import framing_for
from ilrm.system.cli import Command
from ilrm.system.files import check_folder
from ilrm.views import EvaluationScene
from ilrm.weights.state import Weights, read_weights
from reports.figures.qualitative import ROOMS, arrays, draw, label_of, methods_of, rows
from reports.write import Writer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the weights, the scenes, and the output folder."""
    parser.add_argument("--weights", default="ilrm-small", help="folder, file or hub id")
    parser.add_argument("--beside", nargs="*", default=[], metavar="W", help="weights to compare")
    parser.add_argument(
        "--refine",
        type=int,
        default=0,
        metavar="STEPS",
        help="also show --weights after STEPS refinement steps",
    )
    parser.add_argument("--data", type=Path, help="dataset or captures; default: held-out rooms")
    parser.add_argument(
        "--protocol",
        choices=list(PROTOCOLS),
        default="captures",
        metavar="PROTOCOL",
        help=f"one of {', '.join(PROTOCOLS)}; default: %(default)s",
    )
    parser.add_argument("--index", type=Path, help="your copy of the protocol's index file")
    parser.add_argument("--views", type=int, help="number of input views; default: as in training")
    parser.add_argument("--size", help="HxW; default: the protocol's, or the weights' if smaller")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")


def perform(options: argparse.Namespace) -> int:
    """Write the figure and its arrays."""
    if options.refine < 0:
        raise ConfigError(f"refine={options.refine}: give at least 0 steps")
    check_folder(options.out)
    weights = _named([options.weights, *options.beside])
    scenes = _scenes(options, next(iter(weights.values())))
    _check_fit(weights, scenes[0])
    figure_rows = rows(methods_of(weights, options.refine), scenes)
    with Writer(options.out, extra=("pdf", "npz")) as writer:
        writer.figure("qualitative", draw(figure_rows))
        writer.arrays("qualitative", arrays(figure_rows))
    for name, entry in weights.items():
        print(f"{name}: {entry.source}")
    print(options.out / "qualitative.png")
    return 0


def _named(sources: Sequence[str]) -> dict[str, Weights]:
    """Weights by label, with a number appended to repeated labels."""
    named: dict[str, Weights] = {}
    for source in sources:
        entry = read_weights(source)
        same = sum(label_of(other) == label_of(entry) for other in named.values())
        named[f"{label_of(entry)} ({same + 1})" if same else label_of(entry)] = entry
    return named


def _check_fit(weights: dict[str, Weights], scene: EvaluationScene) -> None:
    """Raise ConfigError on weights that do not accept the image size or camera scale of the first ones."""
    first = next(iter(weights.values())).config.data.camera_scale
    cameras = scene.batch.inputs.cameras
    for entry in weights.values():
        multiple = entry.config.model.size_multiple
        if cameras.height % multiple or cameras.width % multiple:
            raise ConfigError(
                f"{entry.source}: needs images in multiples of {multiple} pixels, not "
                f"{cameras.height}x{cameras.width}: give --size"
            )
        if entry.config.data.camera_scale != first:
            raise ConfigError(
                f"{entry.source}: was trained with another camera_scale than {first}: compare it separately"
            )


def _scenes(options: argparse.Namespace, weights: Weights) -> list[EvaluationScene]:
    views = weights.config.data.context_views if options.views is None else options.views
    check_views("views", views)
    if options.data is None:
        if options.index or options.size:
            raise ConfigError(
                "--index and --size need --data: leave them out for held-out procedural rooms"
            )
        return list(example_scenes(replace(weights.config.data, context_views=views), ROOMS))
    protocol = PROTOCOLS[options.protocol]
    framing = framing_for(protocol, weights.config, options.size)
    stored = open_scenes(options.data, "test", protocol.image_folder, protocol.distortion)
    selection = protocol.selection(options.index, views)
    return list(HeldOutScenes(stored, selection, framing, weights.config.data.camera_scale))


main = Command("python -m reports.qualitative", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
