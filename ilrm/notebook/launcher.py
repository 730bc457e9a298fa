"""The `papermill` command of this environment: papermill with a default output path for our notebooks.

papermill requires an OUTPUT_PATH and, if stdin is a pipe, takes a single path to be the output. For notebooks
of this project (marked in their metadata), a missing output path is added: the executed notebook is written
to the folder of the run that its parameters describe. Their parameters are checked before a kernel starts.
All other arguments are passed on unchanged.
"""

import ast
import base64
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from ilrm.errors import ConfigError, IlrmError
from ilrm.fields import shown
from ilrm.notebook.parameters import PARAMETERS, check_values, config_of
from ilrm.system.files import is_file
from ilrm.system.paths import NOTEBOOKS, RUNS, find_suite
from ilrm.system.process import in_utf_8

SCHEME = "ilrm://"  # prefix of the name of a notebook in the package
EXECUTED = RUNS / "notebooks"  # executed notebooks that belong to no run
launching = False  # whether this process passes arguments on to papermill (ilrm/notebook/plugin.py)


def main() -> None:
    """Entry point of the console script `papermill`."""
    in_utf_8()
    sys.exit(launch(sys.argv[1:]))


def launch(arguments: list[str]) -> int:
    """Call papermill with these arguments and, for our notebooks, an output path.

    Returns 2 on an error in the arguments, and 1, after a one-line message, if a cell ends with an error that
    the user can fix. Otherwise papermill ends the process with its own exit status.
    """
    global launching
    launching = True
    find_suite()  # for the notebook's kernel
    from ilrm.notebook.engine import engine

    arguments = list(arguments)
    try:
        output = default_output(arguments)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
    except (IlrmError, OSError) as error:
        print(f"papermill: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    inline_figures()
    parsed = _parse(arguments)
    if not parsed.get("engine") and output_kind(parsed.get("notebook_path") or ""):
        arguments += ["--engine", engine()]
    if output is None:
        return _execute(arguments)
    with _reserved(output) as path:
        arguments.insert(arguments.index(parsed["notebook_path"]) + 1, str(path))
        print(f"papermill: no output path given, writing {path}", file=sys.stderr)
        return _execute(arguments)


def _execute(arguments: list[str]) -> int:
    """Run papermill; for an error that the user can fix, print one line instead of its traceback.

    The executed notebook keeps the traceback.
    """
    from papermill.__main__ import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        return papermill(args=arguments, prog_name="papermill")
    except PapermillExecutionError as error:
        if error.ename not in _fixable():
            raise
        message = " ".join(error.evalue.split())
        print(f"papermill: cell {error.exec_count}: {message}", file=sys.stderr)
        return 1


def _fixable() -> set[str]:
    """Names of the errors that a user can fix: this project's, and the operating system's."""
    kinds = [IlrmError, OSError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.__name__ for kind in kinds}


def inline_figures() -> None:
    """Let kernels of this process show figures in their notebook, whatever MPLBACKEND the user has set."""
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"


@contextmanager
def _reserved(output: Path) -> Iterator[Path]:
    """Yield the path itself in a run's folder, where a notebook is replaced, else one with a free number."""
    if output.parent != EXECUTED:
        yield output
        return
    numbers = itertools.count(2)
    path = output
    while True:
        try:
            path.touch(exist_ok=False)
            break
        except FileExistsError:
            path = output.with_stem(f"{output.stem}-{next(numbers)}")
    try:
        yield path
    finally:
        if path.exists() and not path.stat().st_size:  # papermill stopped before it wrote anything
            path.unlink()


def located(notebook: str) -> Path:
    """Path of a notebook, given as a path, as `ilrm://NAME`, or by the name of one of this project."""
    path = Path(notebook.removeprefix(SCHEME))
    if path.exists() and not notebook.startswith(SCHEME):
        return path
    own = NOTEBOOKS / path.with_suffix(".ipynb").name
    return own if notebook.startswith(SCHEME) or path.name == notebook else path


def default_output(arguments: list[str]) -> Path | None:
    """Output path of the executed notebook if the arguments do not contain one, else None.

    Raises ConfigError if the parameters of a notebook of this project cannot be read, are unknown or have
    values that do not fit.
    """
    parsed = _parse(arguments)
    if not parsed.get("notebook_path") or parsed.get("help_notebook"):
        return None
    document = _document(parsed["notebook_path"])
    ours = document.metadata.get("ilrm", {}) if document is not None else {}
    if document is None or "output" not in ours:
        return None
    given = {**_defaults(document), **notebook_parameters(parsed)}
    folder = EXECUTED
    if ours.get("parameters") == "run":
        config = config_of(given)
        folder = RUNS / config.name if ours["output"] == "run" else EXECUTED
    else:
        check_values(given, PARAMETERS.get(ours.get("parameters", ""), {}))
    return None if parsed.get("output_path") else folder / located(parsed["notebook_path"]).name


def output_kind(notebook: str) -> str | None:
    """Where an executed notebook of the project belongs: "run" or "notebook"; None for any other file."""
    document = _document(notebook)
    return None if document is None else document.metadata.get("ilrm", {}).get("output")


def is_notebook(path: Path) -> bool:
    """Whether there is a notebook at a path."""
    return _document(str(path)) is not None


def _document(notebook: str) -> Any:
    """The notebook in a file, or None if it is not one, which papermill reports."""
    import nbformat

    path = located(notebook)
    if not is_file(path):
        return None
    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # nbformat raises almost anything
        return None


def _defaults(notebook: Any) -> dict[str, Any]:
    """The literal values that a notebook's own cell of parameters assigns."""
    values: dict[str, Any] = {}
    for cell in notebook.cells:
        if "parameters" not in cell.metadata.get("tags", ()):
            continue
        with suppress(SyntaxError):
            for statement in ast.parse(cell.source).body:
                values |= _literal(statement)
    return values


def _literal(statement: ast.stmt) -> dict[str, Any]:
    """{name: value} if a statement assigns a literal."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        with suppress(ValueError):
            return {statement.targets[0].id: ast.literal_eval(statement.value)}
    return {}


def notebook_parameters(parsed: dict[str, Any]) -> dict[str, Any]:
    """The notebook parameters in parsed papermill arguments, read in papermill's order of precedence.

    Raises ConfigError if an argument is not a mapping of names to values.
    """
    values: dict[str, Any] = {}
    for option, name, text_of in (
        ("-b", "parameters_base64", lambda text: base64.b64decode(text, validate=True)),
        ("-f", "parameters_file", lambda path: Path(path).read_text(encoding="utf-8-sig")),
        ("-y", "parameters_yaml", str),
    ):
        for argument in parsed.get(name) or ():
            values |= _mapping(option, argument, text_of)
    for name, text in parsed.get("parameters") or ():
        values[name] = _typed(text)
    for name, text in parsed.get("parameters_raw") or ():
        values[name] = text
    return values


def _mapping(option: str, argument: str, text_of: Callable[[str], Any]) -> dict[str, Any]:
    """The parameters in the argument of one of papermill's options."""
    hint = "write a name, a colon, a space and a value, as in 'layers: 6'"
    try:
        mapping = yaml.safe_load(text_of(argument))
    except OSError as error:
        raise ConfigError(f"{option} {argument}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also from base64
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"{option} {shown(argument)} cannot be read ({why}): {hint}") from error
    if mapping is None:
        return {}
    if not isinstance(mapping, dict) or not all(isinstance(name, str) for name in mapping):
        raise ConfigError(f"{option} {shown(argument)} is not a mapping of names to values: {hint}")
    return mapping


def _typed(text: str) -> Any:
    """The value of a parameter given with -p: papermill reads numbers, True, False and None."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Parse arguments with papermill's own parser, ignoring errors."""
    from papermill.__main__ import papermill

    return papermill.make_context("papermill", list(arguments), resilient_parsing=True).params


if __name__ == "__main__":
    main()
