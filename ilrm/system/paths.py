"""Folders: the project's checkout, the run store and the shipped records."""

import os
from pathlib import Path


def _project() -> Path:
    """The checkout that contains this package, or the working folder if it is installed without one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


def folder_variable(name: str, default: Path) -> Path:
    """The folder that an environment variable names, as an absolute path.

    The variable is made absolute as well: processes that this one starts, a notebook's kernel with another
    working folder among them, then mean the same folder.
    """
    if not os.environ.get(name):
        return default
    folder = Path(os.environ[name]).expanduser().absolute()
    os.environ[name] = str(folder)
    return folder


PROJECT = _project()
RUNS = folder_variable("ILRM_RUNS", PROJECT / "runs")
RECORDS = PROJECT / "reports" / "records"  # measured results shipped with the project
