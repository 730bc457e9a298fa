"""The `papermill` command of this environment: papermill with a default output path for our notebooks.

papermill requires an OUTPUT_PATH and, if stdin is a pipe, takes a single path to be the output. For notebooks
of this project (marked in their metadata), a missing output path is added: the executed notebook is written
to the folder of the run that its parameters describe. All other arguments are passed on unchanged.
"""

import base64
import sys
from pathlib import Path
from typing import Any

import yaml

from ilrm.errors import IlrmError
from ilrm.presets import run_config
from ilrm.system.paths import NOTEBOOKS, RUNS, find_suite

SCHEME = "ilrm://"  # before the name of a notebook that lies in the package
launching = False  # whether this process passes arguments on to papermill (ilrm/notebook/plugin.py)


def main() -> None:
    """Entry point of the console script `papermill`."""
    sys.exit(launch(sys.argv[1:]))


def launch(arguments: list[str]) -> int:
    """Call papermill with these arguments and, for our notebooks, an output path; returns 2 on an error.

    Otherwise papermill ends the process with its own exit status.
    """
    global launching
    launching = True
    find_suite()  # for the notebook's kernel
    from papermill.__main__ import papermill

    arguments = list(arguments)
    try:
        output = default_output(arguments)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
    except (IlrmError, OSError, yaml.YAMLError) as error:
        print(f"papermill: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if output is not None:
        notebook = _parse(arguments)["notebook_path"]
        arguments.insert(arguments.index(notebook) + 1, str(output))
        print(f"papermill: no output path given, writing {output}", file=sys.stderr)
    return papermill(args=arguments, prog_name="papermill")


def located(notebook: str) -> Path:
    """Path of a notebook that is given as a path, as `ilrm://NAME`, or by a name of the project's own."""
    path = Path(notebook.removeprefix(SCHEME))
    if path.exists() and not notebook.startswith(SCHEME):
        return path
    own = NOTEBOOKS / path.with_suffix(".ipynb").name
    return own if notebook.startswith(SCHEME) or path.name == notebook else path


def default_output(arguments: list[str]) -> Path | None:
    """Output path of the executed notebook if the arguments do not contain one, else None.

    Raises ConfigError if the parameters do not describe a valid run.
    """
    parsed = _parse(arguments)
    if not parsed.get("notebook_path") or parsed.get("output_path") or parsed.get("help_notebook"):
        return None
    notebook = parsed["notebook_path"]
    kind, name = output_kind(notebook), located(notebook).name
    if kind == "run":
        return RUNS / run_config(**notebook_parameters(parsed)).name / name
    if kind == "notebook":
        return RUNS / "notebooks" / name
    return None


def output_kind(notebook: str) -> str | None:
    """Where an executed notebook of the project belongs: "run" or "notebook"; None for any other file."""
    import nbformat

    path = located(notebook)
    if not path.is_file():
        return None
    try:
        return nbformat.read(path, as_version=4).metadata.get("ilrm", {}).get("output")
    except (ValueError, OSError):
        return None  # not a notebook, which papermill reports


def notebook_parameters(parsed: dict[str, Any]) -> dict[str, Any]:
    """The notebook parameters in parsed papermill arguments, read in papermill's order of precedence."""
    values: dict[str, Any] = {"scale": "tiny"}
    for text in parsed.get("parameters_base64") or ():
        values |= yaml.safe_load(base64.b64decode(text)) or {}
    for path in parsed.get("parameters_file") or ():
        values |= yaml.safe_load(Path(path).read_text()) or {}
    for text in parsed.get("parameters_yaml") or ():
        values |= yaml.safe_load(text) or {}
    for name, text in parsed.get("parameters") or ():
        values[name] = _typed(text)
    for name, text in parsed.get("parameters_raw") or ():
        values[name] = text
    return {name: value for name, value in values.items() if value is not None}


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
