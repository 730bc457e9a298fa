"""papermill plugin, which papermill loads itself through its entry points `papermill.io`.

It lets `papermill ilrm://ablation.ipynb` read the notebooks of an installed package. It also keeps `papermill
notebooks/ablation.ipynb -p layers 6` working after `pip install -U papermill` has replaced our script by
papermill's own, which refuses a line without an output path.
"""

import os
import sys
from pathlib import Path

from ilrm.notebook import launcher
from ilrm.notebook.launcher import SCHEME, located, output_kind

LAUNCH = "from ilrm.notebook.launcher import main; main()"


class InstalledNotebooks:
    """Reads notebooks of this project by name, for papermill."""

    @staticmethod
    def read(path: str) -> str:
        """The text of a notebook."""
        return located(path).read_text(encoding="utf-8")

    @staticmethod
    def write(_: str, path: str) -> None:
        """Raise OSError: the package's own notebooks are never written."""
        raise OSError(f"{path} is read-only: give an output path")

    @staticmethod
    def listdir(_: str) -> list[str]:
        """All notebooks of the package."""
        return [f"{SCHEME}{path.name}" for path in sorted(launcher.NOTEBOOKS.glob("*.ipynb"))]

    @staticmethod
    def pretty_path(path: str) -> str:
        """The notebook's name in papermill's messages."""
        return path


def take_over(command: str, arguments: list[str]) -> None:
    """Continue in our launcher if this process is papermill's command, called for one of our notebooks."""
    if (
        Path(command).name == "papermill"
        and not launcher.launching
        and any(map(output_kind, arguments))
    ):
        os.execv(sys.executable, [sys.executable, "-c", LAUNCH, *arguments])


take_over(sys.argv[0], sys.argv[1:])
