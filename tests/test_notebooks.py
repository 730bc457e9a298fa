"""Notebooks: committed clean, short, marked for the launcher, parameters that exist; each one runs."""

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbclient
import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from ilrm.errors import ConfigError, MissingPartError
from ilrm.notebook.parameters import check_parameters, or_reason, read_config
from ilrm.presets import parameter_names, run_config
from ilrm.system.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
TOOLS = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
NBSTRIPOUT = shutil.which("nbstripout", path=TOOLS["PATH"])
RUN_BY_THE_LAUNCHER_TESTS = {"ablation.ipynb"}
SMALLEST = {"benchmark.ipynb": {"scale": "smoke", "tables": "17", "seconds": 0.01}}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_committed_clean_short_and_marked(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum(len(cell.source.splitlines()) for cell in code) < 80
    lines = [line.partition("#")[0] for cell in code for line in cell.source.splitlines()]
    assert not any(word in line for line in lines for word in ("def ", "class ", "for "))
    assert notebook.metadata.ilrm.output in ("run", "notebook")


def test_parameters_of_the_ablation_notebook_are_fields():
    notebook = nbformat.read(PROJECT / "notebooks" / "ablation.ipynb", as_version=4)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    names = [line.split(" = ")[0] for line in cell.source.splitlines() if " = " in line]
    assert set(names) - {"scale"} <= set(parameter_names()) and len(names) == len(set(names))


def as_jupyterlab_saves_it(notebook, path):
    """The notebook after it was run: outputs, counts, times, and what a kernel says of itself."""
    notebook.metadata.language_info |= {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.12.1",
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = 3
            cell.outputs = [nbformat.v4.new_output("stream", text="printed")]
            cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00"}
    nbformat.write(notebook, path)


@pytest.mark.skipif(NBSTRIPOUT is None, reason="nbstripout is not installed")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_that_was_run_is_no_change_for_git(path, tmp_path):
    """Git's filter (make hooks) makes of it what is committed, byte by byte."""
    saved = tmp_path / path.name
    as_jupyterlab_saves_it(nbformat.read(path, as_version=4), saved)
    line = ["bash", "scripts/hooks/strip_notebooks.sh"]
    with saved.open("rb") as file:
        done = subprocess.run(line, cwd=PROJECT, stdin=file, env=TOOLS, capture_output=True)
    assert done.stdout == path.read_bytes(), done.stderr.decode()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_runs(path, tmp_path, monkeypatch):
    if path.name in RUN_BY_THE_LAUNCHER_TESTS:
        pytest.skip("tests/notebook/test_launcher.py runs this one at the smoke scale")
    monkeypatch.setenv("ILRM_RUNS", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    if path.name in SMALLEST:
        notebook = parameterize_notebook(load_notebook_node(str(path)), SMALLEST[path.name])
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": PROJECT}}
    ).execute()


def test_parameters_are_read_from_the_namespace_of_a_notebook():
    namespace = {
        "scale": "smoke",
        "layers": 2,
        "width": None,
        "_hidden": 1,
        "In": [],
        "types": types,
    }
    assert read_config(namespace) == run_config("smoke", layers=2)
    assert read_config({}) == run_config("tiny")
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        read_config({"layer": 6})


def test_a_misspelt_parameter_is_named():
    check_parameters(
        {"capture": None, "views": 4, "In": [], "types": types}, capture=str, views=int
    )
    with pytest.raises(ConfigError, match="'captrue' in the notebook: did you mean 'capture'"):
        check_parameters({"capture": None, "captrue": "photos"}, capture=str, views=int)
    for wrong, message in (
        ({"capture": 2024}, "give text"),
        ({"views": "four"}, "give an integer"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_parameters(wrong, capture=str, views=int)


def test_what_a_model_lacks_is_a_line_and_mistakes_still_stop(capsys):
    def refuse(value):
        raise MissingPartError(f"no {value}")

    assert or_reason(str.upper, "shown") == "SHOWN"
    assert or_reason(refuse, "self-attention") is None
    assert capsys.readouterr().out == "not shown: no self-attention\n"
    assert or_reason(refuse, None) is None and not capsys.readouterr().out
    with pytest.raises(ConfigError, match="layerz"):
        or_reason(lambda name: run_config("smoke", **{name: 1}), "layerz")
