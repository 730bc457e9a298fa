"""Generate procedural rooms in the RE10K chunk format."""

import argparse
import sys

from ilrm.data.procedural.generation import SETTINGS, RoomsConfig, ensure_dataset, generate
from ilrm.system.cli import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, and the numbers, sizes and camera path of the scenes."""
    default = RoomsConfig()
    size = (default.height, default.width)
    parser.add_argument("root", nargs="?", help="folder to write; default: one in the cache")
    for name, value, what in (
        ("--train-scenes", default.train_scenes, "scenes for training"),
        ("--test-scenes", default.test_scenes, "held-out scenes"),
        ("--frames", default.frames, "frames per scene"),
        ("--seed", default.seed, "seed of the rooms"),
        ("--supersample", default.supersample, "rays per pixel, along one side"),
    ):
        parser.add_argument(name, type=int, default=value, help=f"{what}; default: %(default)s")
    parser.add_argument("--size", type=int, nargs=2, default=size, metavar=("H", "W"),
                        help="image size in pixels; default: {} {}".format(*size))  # fmt: skip
    parser.add_argument("--path", choices=list(SETTINGS), default=default.path, metavar="PATH",
                        help=f"camera path: {', '.join(SETTINGS)}; default: %(default)s")  # fmt: skip
    parser.add_argument(
        "--train-depths", action="store_true", help="also store true depth for training scenes"
    )
    parser.add_argument("--workers", type=int, help="threads; default: one per available core")


def perform(options: argparse.Namespace) -> int:
    """Generate the rooms and print the folder of the data set."""
    height, width = options.size
    config = RoomsConfig(
        *(options.train_scenes, options.test_scenes, options.frames, height, width, options.path),
        *(options.seed, options.supersample, options.train_depths),
    )
    root, workers = options.root, options.workers
    print(generate(root, config, workers) if root else ensure_dataset(config, None, workers))
    return 0


main = Command("python -m ilrm.data.procedural", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
