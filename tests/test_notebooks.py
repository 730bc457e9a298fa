"""Notebooks: committed clean, short, marked for the launcher, parameters that exist; each one runs."""

import ast
import copy
import os
import re
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

from ilrm.data.procedural.samples import example_capture
from ilrm.errors import ConfigError, MissingPartError
from ilrm.notebook.parameters import PARAMETERS, check_parameters, or_reason, read_config
from ilrm.presets import parameter_names, run_config
from ilrm.system.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
TOOLS = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
NBSTRIPOUT = shutil.which("nbstripout", path=TOOLS["PATH"])
RUN_BY_THE_LAUNCHER_TESTS = {"ablation.ipynb"}
SMALLEST = {
    "benchmark.ipynb": {"scale": "smoke", "tables": "17", "seconds": 0.01},
    "quickstart.ipynb": {"capture": "room"},
}


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
        values = dict(SMALLEST[path.name])
        if "capture" in values:
            values["capture"] = str(example_capture(tmp_path / values["capture"], 32))
        notebook = parameterize_notebook(load_notebook_node(str(path)), values)
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


def code_of(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    own = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    return own, [cell for cell in code if cell not in own]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_no_notebook_assigns_its_own_parameters(path):
    """A second run in the same kernel would take what the first one made of them."""
    own, others = code_of(path)
    names = {name for cell in own for name in assigned(cell.source)}
    assert not names & {name for cell in others for name in assigned(cell.source)}
    if own:
        assert any(word in others[0].source for word in ("read_config(", "check_parameters("))


def assigned(source):
    return [
        target.id
        for statement in ast.walk(ast.parse(source))
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]


def rerun(own, changes, namespace, check):
    """Run a cell of parameters with changes, then the check, in a kernel that has run the notebook before."""
    source = own
    for name, value in changes.items():
        source = re.sub(rf"^{name} = .*$", f"{name} = {value!r}", source, flags=re.MULTILINE)
        if not re.search(rf"^{name} = ", own, re.MULTILINE):
            source += f"\n{name} = {value!r}"
    for cell in (source, "the check itself calls read_config"):
        namespace["In"].append(cell)
    exec(source, namespace)
    return check(namespace)


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if code_of(p)[0]], ids=lambda p: p.name)
def test_parameters_are_read_again_in_the_same_kernel(path):
    own, others = code_of(path)
    kind = nbformat.read(path, as_version=4).metadata.ilrm.parameters
    kinds = PARAMETERS.get(kind, {})
    check = read_config if kind == "run" else lambda space: check_parameters(space, **kinds)
    namespace = {"In": [""]}
    rerun(own[0].source, {}, namespace, check)
    for cell in others:  # the names of the notebook itself
        namespace["In"].append(cell.source)
        namespace |= dict.fromkeys(assigned(cell.source), 3)
    for name in ("config", "run", "base", "table", "model"):
        namespace[name] = object()
    rerun(own[0].source, {}, namespace, check)
    wrong = {"run": "layer", "benchmark": "tabels", "quickstart": "captur"}.get(kind, "viewz")
    with pytest.raises(ConfigError, match="did you mean"):
        rerun(own[0].source, {wrong: 6}, namespace, check)
    rerun(
        own[0].source, {}, namespace, check
    )  # the misspelt line was removed, its name is still there


def test_the_second_variant_of_a_kernel_is_the_one_in_the_cell():
    own = "scale = 'smoke'\nlayers = None\nseed = None\nwidth = None"
    namespace = {"In": [""]}
    assert rerun(own, {}, namespace, read_config) == run_config("smoke")
    assert rerun(own, {"layers": 2}, namespace, read_config) == run_config("smoke", layers=2)
    # a line that was added and removed does not stay, a scratch cell counts until the cell is run again
    with_batch = rerun(own, {"batch": 4}, namespace, read_config)
    assert with_batch == run_config("smoke", batch=4)
    assert rerun(own, {}, namespace, read_config) == run_config("smoke")
    namespace["In"] += ["seed = 7", "the check again: read_config"]
    namespace["seed"] = 7
    assert read_config(namespace) == run_config("smoke", seed=7)
    # papermill's cell follows the notebook's own
    namespace = {"In": ["", own, "# Parameters\nlayer = 2\n"], "layer": 2}
    exec(own, namespace)
    with pytest.raises(ConfigError, match="did you mean 'layers'"):
        read_config(namespace)
    namespace = {"In": ["", own], "PAPERMILL_INPUT_PATH": "a"}
    exec(own, namespace)
    assert read_config(namespace) == run_config("smoke")


def test_a_second_variant_in_the_same_kernel_for_real(tmp_path, monkeypatch):
    """JupyterLab: run all cells, change a parameter, run all cells again."""
    monkeypatch.setenv("ILRM_RUNS", str(tmp_path))
    notebook = nbformat.read(PROJECT / "notebooks" / "costs.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"][:3]
    again = copy.deepcopy(code)
    again[0].source = again[0].source.replace("layers = None", "layers = 6")
    notebook.cells = [*code, *again]
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": PROJECT}}
    ).execute()
    shown = [cell.outputs[0].data["text/plain"] for cell in (code[1], again[1])]
    assert "layers=12" in shown[0] and "layers=6" in shown[1]


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
