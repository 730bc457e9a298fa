"""The wheel, away from the checkout: what it holds, and that its studies run and its errors are one line."""

import os
import subprocess
import sys
import zipfile

import pytest

from ilrm.system.paths import PROJECT

LOADED = """
import ilrm, ilrm.notebook, ablations, reports
from ilrm.system.paths import CHECKOUT, NOTEBOOKS
from ablations.study import studies
from reports.claims import claims
from reports.effects import Measurements
from reports.published import published
assert CHECKOUT is None and list(NOTEBOOKS.glob("*.ipynb"))
assert studies() and claims() and len(published()) and len(Measurements.recorded("tiny").runs)
ilrm.ILRM.from_pretrained("ilrm-small")
print(ilrm.__file__, ablations.__file__, reports.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The path of a wheel, made without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*line, "-w", str(folder), str(PROJECT)], check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Calls Python in a folder that is not the checkout, with the wheel's files in front on its path."""
    site, elsewhere = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    zipfile.ZipFile(wheel).extractall(site)
    environment = {k: v for k, v in os.environ.items() if k != "ILRM_RUNS"}
    known = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p != str(PROJECT)]
    environment["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, known)])

    def call(*arguments):
        line = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            line, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )

    call.site, call.folder = site, elsewhere
    return call


def test_the_wheel_holds_what_is_needed_and_no_general_names(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"ilrm"}
    for path in (
        "ablations/studies/layers.toml", "ablations/sweeps/pareto.toml", "reports/claims.toml",
        "reports/published.csv", "reports/records/studies/tiny/runs.csv", "notebooks/ablation.ipynb",
    ):  # fmt: skip
        assert f"ilrm/_suite/{path}" in names
    assert "ilrm/weights/ilrm-small/model.safetensors" in names
    assert not any("reports/output" in name or "/tests/" in name for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not (PROJECT / "build").exists()


def test_everything_is_found_in_the_package(installed):
    done = installed("-c", LOADED)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(installed.site)) for path in done.stdout.split())


@pytest.mark.timeout(900)
def test_a_study_runs_away_from_the_checkout(installed):
    (installed.folder / "own.toml").write_text("varies = 'uplift'\nvalues = [1, 2]\n")
    shared = ("own.toml", "--scale", "smoke")
    done = installed("-m", "ilrm", "study", "run", *shared, "--seeds", "1", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert len(list((installed.folder / "runs").glob("smoke-*/ablation.ipynb"))) == 2
    shown = installed("-m", "ilrm", "compare", *shared)
    assert "uplift=2" in shown.stdout and "reference" in shown.stdout


def test_what_needs_a_checkout_says_so_in_a_line(installed):
    for arguments, words in (
        (("study", "record", "layers"), "records belong to a checkout"),
        (("benchmark", "--scale", "smoke", "--record"), "records belong to a checkout"),
        (("report",), "give --out"),
    ):
        done = installed("-m", "ilrm", *arguments)
        (line,) = done.stderr.strip().splitlines()
        assert done.returncode == 2 and line.startswith("error: ") and words in line
