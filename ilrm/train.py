"""Train a model, on one process or under torchrun.

`python -m ilrm.train --scale tiny layers=6 seed=1` trains one configuration,
`python -m ilrm.train --recipe dl3dv root=/path/to/dl3dv start=WEIGHTS` follows a published recipe.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ilrm.config import RunConfig
from ilrm.errors import ConfigError
from ilrm.presets import SCALES, run_config
from ilrm.recipes import RECIPES, stages
from ilrm.system.cli import Command

if TYPE_CHECKING:
    from ilrm.runs.store import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --scale, --recipe and fields."""
    parser.add_argument("--scale", help=f"one of {', '.join(SCALES)}; default: tiny")
    parser.add_argument("--recipe", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="FOLDER",
        help="write the learning curve for TensorBoard as well, to a folder for each run",
    )
    parser.add_argument(
        "fields",
        nargs="*",
        metavar="name=value",
        help="configuration fields to override; `ilrm fields` lists them with their meaning",
    )


def perform(options: argparse.Namespace) -> int:
    """Train one configuration or a recipe's stages in order; prints the folder and metrics of each run."""
    configs = _configs(options)

    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.runs.scalar_log import tensorboard_log
    from ilrm.runs.training_runs import perform_run
    from ilrm.system.distributed import processes

    for config in configs:
        if options.tensorboard:
            run = perform_run(config, on_point=tensorboard_log(options.tensorboard / config.name))
        else:
            run = perform_run(config)
        if processes().is_first:
            _show(run)
    return 0


def _configs(options: argparse.Namespace) -> list[RunConfig]:
    fields = _fields(options.fields)
    if options.recipe:
        scale = {"scale": options.scale} if options.scale else {}
        return stages(options.recipe, **scale, **fields)
    return [run_config(options.scale or "tiny", **fields)]


def _show(run: Run) -> None:
    print(run.folder)
    for method, values in run.metrics["summary"].items():
        print(method, {name: round(value["mean"], 4) for name, value in values.items()})


def _fields(texts: list[str]) -> dict[str, str]:
    fields = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r}: give fields as name=value, e.g. layers=6")
        if name in fields:
            raise ConfigError(f"{name} is given twice: give each field once")
        fields[name] = value
    return fields


main = Command("python -m ilrm.train", __doc__, add_arguments, perform, resumes=True)

if __name__ == "__main__":
    sys.exit(main())
