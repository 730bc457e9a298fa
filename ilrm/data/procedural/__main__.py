"""Command line: `python -m ilrm.data.procedural --help`."""

import argparse

from ilrm.data.procedural.camera_paths import PATHS
from ilrm.data.procedural.generation import RoomsConfig, ensure_dataset, generate
from ilrm.errors import ConfigError, DataError


def main() -> None:
    """Prints the folder of the data set."""
    default = RoomsConfig()
    parser = argparse.ArgumentParser(
        description="Generate procedural rooms in the RE10K chunk format.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("root", nargs="?", help="folder to write; by default one in the cache")
    parser.add_argument("--train-scenes", type=int, default=default.train_scenes)
    parser.add_argument("--test-scenes", type=int, default=default.test_scenes)
    parser.add_argument("--frames", type=int, default=default.frames, help="per scene")
    size = (default.height, default.width)
    parser.add_argument("--size", type=int, nargs=2, default=size, metavar=("H", "W"))
    parser.add_argument("--path", choices=list(PATHS), default=default.path)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--supersample", type=int, default=default.supersample)
    parser.add_argument(
        "--train-depths", action="store_true", help="true depth of the training scenes, too"
    )
    parser.add_argument("--workers", type=int, help="threads; by default one per available core")
    a = parser.parse_args()
    h, w = a.size
    try:
        config = RoomsConfig(
            *(a.train_scenes, a.test_scenes, a.frames, h, w, a.path, a.seed),
            *(a.supersample, a.train_depths),
        )
        print(
            generate(a.root, config, a.workers)
            if a.root
            else ensure_dataset(config, None, a.workers)
        )
    except (ConfigError, DataError) as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
