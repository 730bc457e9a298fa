"""Folders: the project's checkout, the folders beside the package, the run store and the shipped records.

Studies, reports and notebooks are beside `ilrm/` in a checkout. An installed package has no checkout: it
contains them in `ilrm/_suite/` (setup.py), where their names do not conflict with other packages.
"""

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def folder_variable(name: str, default: Path) -> Path:
    """The folder that an environment variable names, as an absolute path.

    The variable itself is made absolute as well, so that processes started by this one use the same folder,
    even a notebook's kernel with another working folder.
    """
    if not os.environ.get(name):
        return default
    folder = Path(os.environ[name]).expanduser().absolute()
    os.environ[name] = str(folder)
    return folder


def _checkout() -> Path | None:
    """The checkout that contains this package, or None if it is installed without one."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").exists() else None


CHECKOUT = _checkout()
PROJECT = CHECKOUT or Path.cwd()  # where runs/ is, and where processes start
SUITE = CHECKOUT or _PACKAGE / "_suite"  # holds ablations/, reports/ and notebooks/
NOTEBOOKS = SUITE / "notebooks"
RUNS = folder_variable("ILRM_RUNS", PROJECT / "runs")
RECORDS = SUITE / "reports" / "records"  # measured results shipped with the project


def find_suite() -> None:
    """Let `import ablations` and `import reports` find them, in this process and in those that it starts.

    The `ilrm` command, notebooks and the workers of studies call it before these imports.
    """
    folder = str(SUITE)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if folder not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *known])
