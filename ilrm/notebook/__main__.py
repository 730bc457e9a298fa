"""Execute one of the project's notebooks with papermill.

`ilrm notebook ablation -p layers 6` is `papermill notebooks/ablation.ipynb -p layers 6`, from any folder.
"""

import argparse
import sys

from ilrm.errors import ConfigError
from ilrm.fields import shown_path
from ilrm.notebook.launcher import is_notebook, launch, located
from ilrm.system.cli import Command
from ilrm.system.paths import NOTEBOOKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the notebook and the arguments for papermill."""
    parser.add_argument("notebook", help=f"a path, or one of {', '.join(names())}")
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="parameters (-p NAME VALUE), path of the executed notebook (default: in the folder of the "
        "run), and options of papermill (`papermill --help`)",
    )


def names() -> list[str]:
    """Names of the notebooks of this project."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def perform(options: argparse.Namespace) -> int:
    """Execute the notebook; returns papermill's exit status."""
    path = located(options.notebook)
    if not is_notebook(path):
        raise ConfigError(
            f"{shown_path(path)} is not a notebook: give the path of one, or one of {', '.join(names())}"
        )
    return launch([str(path), *options.arguments])


main = Command("python -m ilrm.notebook", __doc__, add_arguments, perform)

if __name__ == "__main__":
    sys.exit(main())
