"""Puts the folders that lie beside ilrm/ in a checkout into the wheel; everything else is in pyproject.toml.

Studies, reports and notebooks are installed in ilrm/_suite/, as their names are too general for site-packages
(`ilrm.system.paths.find_suite`). An editable install uses the checkout as it is.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGES, NOTEBOOKS = ("ablations", "reports"), "notebooks"


class BuildSuite(build_py):
    """Builds all packages, and moves those of the suite into ilrm/_suite/."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        suite = built / "ilrm" / "_suite"
        suite.mkdir()
        for name in PACKAGES:
            shutil.move(built / name, suite / name)
        (suite / NOTEBOOKS).mkdir()
        for notebook in Path(NOTEBOOKS).glob("*.ipynb"):
            shutil.copyfile(notebook, suite / NOTEBOOKS / notebook.name)


# not in build/, where files of earlier builds would stay and get into the wheel
with TemporaryDirectory() as folder:
    setup(cmdclass={"build_py": BuildSuite}, options={"build": {"build_base": folder}})
