"""What papermill loads of this project by itself, through its group of entry points `papermill.io`.

It lets `papermill ilrm://ablation.ipynb` read the notebooks of an installed package. And it keeps the line
`papermill notebooks/ablation.ipynb -p layers 6` working where papermill's own script has taken the place of
ours, as `pip install -U papermill` brings about: that script refuses a line without an output path.
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
        """Refuse: the package's own notebooks stay as they are."""
        raise OSError(f"{path} is only read: give an output path")

    @staticmethod
    def listdir(_: str) -> list[str]:
        """All notebooks of the package."""
        return [f"{SCHEME}{found.name}" for found in sorted(launcher.NOTEBOOKS.glob("*.ipynb"))]

    @staticmethod
    def pretty_path(path: str) -> str:
        """How papermill names it in its messages."""
        return path


def take_over(command: str, arguments: list[str]) -> None:
    """Go on in our launcher if this process is papermill's own command, called for a notebook of ours."""
    if (
        Path(command).name == "papermill"
        and not launcher.launching
        and any(map(output_kind, arguments))
    ):
        os.execv(sys.executable, [sys.executable, "-c", LAUNCH, *arguments])


take_over(sys.argv[0], sys.argv[1:])
