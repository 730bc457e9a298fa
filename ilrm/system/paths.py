"""Folders: the project's checkout, the run store, the cache."""

import os
from pathlib import Path


def _project() -> Path:
    """The checkout that this package lies in; the working folder where it is installed without one."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


PROJECT = _project()
RUNS = Path(os.environ.get("ILRM_RUNS", PROJECT / "runs"))
RECORDS = PROJECT / "reports" / "records"  # measured results that the project ships
