"""What is imported when: commands answer `--help` without torch, nothing needs optional packages."""

import os
import subprocess
import sys

import pytest

from ilrm.system.paths import PROJECT

COMMANDS = (
    "ilrm",
    "ilrm.show_fields",
    "ilrm.notebook",
    "ilrm.train",
    "ilrm.evaluate",
    "ilrm.reconstruct",
    "ilrm.benchmark",
    "ilrm.convert",
    "ilrm.tradeoff",
    "ablations",
    "reports",
    "reports.compare",
)
NAMED = {"ilrm": "usage: ilrm "}  # the others are called by python -m  # fmt: skip
HEAVY = {"torch", "numpy", "pandas", "scipy", "matplotlib", "numba", "pycolmap", "viser", "optuna"}
HELP = """
import runpy, sys
sys.argv = ["command", "--help"]
try:
    runpy.run_module("{module}", run_name="__main__")
except SystemExit as end:
    print("status", end.code)
print("imported", *sys.modules)
"""
OPTIONAL = ("optuna", "nbformat", "papermill", "nbclient", "pycolmap", "viser")
ENGINE = "ilrm/notebook/engine.py"  # classes of papermill's, imported where papermill executes a notebook
ALL = f"""
import importlib, pathlib
for file in pathlib.Path("ilrm").rglob("*.py"):
    if file != pathlib.Path("{ENGINE}"):
        importlib.import_module(".".join(file.with_suffix("").parts))
"""


def child(*arguments, path=()):
    """A Python process from the project's folder."""
    found = os.pathsep.join([*map(str, path), str(PROJECT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": found},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", COMMANDS)
def test_help_is_answered_before_anything_heavy_is_imported(module):
    done = child("-c", HELP.format(module=module))
    assert (
        "status 0" in done.stdout and NAMED.get(module, f"usage: python -m {module}") in done.stdout
    ), done.stderr
    imported = done.stdout.rpartition("imported ")[2].split()
    assert not HEAVY & set(imported)


def test_names_of_the_package_are_there_without_a_module_of_theirs():
    code = "import sys, ilrm; assert 'torch' not in sys.modules\n"
    code += "assert all(getattr(ilrm, name) is not None for name in ilrm.__all__)\n"
    code += (
        "from ilrm import ILRM, Cameras, Gaussians, Views, model_config, rasterization, render\n"
    )
    code += "import os; assert os.environ['OMP_WAIT_POLICY'] and os.environ['GOMP_SPINCOUNT']\n"
    code += "ilrm.nothing"
    done = child("-c", code)
    assert done.stderr.endswith("AttributeError: module 'ilrm' has no attribute 'nothing'\n")


@pytest.fixture
def without_optional_packages(tmp_path):
    """A folder that, on the path of a child process, hides the optional packages from it."""
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL}))\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    return tmp_path


def test_the_package_imports_without_optional_packages(without_optional_packages):
    done = child("-c", ALL, path=[without_optional_packages])
    assert done.returncode == 0, done.stderr


def test_gpu_tests_are_found_without_optional_packages(without_optional_packages):
    arguments = ("-m", "pytest", "-m", "gpu", "--collect-only", "-q", "-p", "no:cacheprovider")
    done = child(*arguments, path=[without_optional_packages])
    assert done.returncode == 0, done.stdout
    for file in (
        "rendering/test_oracles", "test_fast", "training/test_loop",
        "reconstruction/test_gaussian_splatting",
    ):  # fmt: skip
        assert f"tests/{file}.py::" in done.stdout


def test_a_capture_without_pycolmap_is_one_line(without_optional_packages, tmp_path):
    (tmp_path / "sparse/0").mkdir(parents=True)
    (tmp_path / "sparse/0/cameras.bin").write_bytes(bytes(8))
    code = f"import ilrm.data.sources.captures as c; c.read_capture({str(tmp_path)!r})"
    done = child("-c", code, path=[without_optional_packages])
    assert "DataError: captures need pycolmap" in done.stderr
