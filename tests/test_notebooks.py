"""Notebooks: committed clean, short, marked for the launcher, parameters that exist; each one runs."""

import types

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
