"""Folders: the project's checkout, the run store and the shipped records."""

import os
from pathlib import Path


def _project() -> Path:
    """The checkout that contains this package, or the working folder if it is installed without one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


PROJECT = _project()
RUNS = Path(os.environ.get("ILRM_RUNS", PROJECT / "runs"))
RECORDS = PROJECT / "reports" / "records"  # measured results shipped with the project
