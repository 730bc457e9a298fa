"""The `papermill` command of this environment: papermill with a default output path for our notebooks.

papermill 2.7 requires an OUTPUT_PATH and, if stdin is a pipe, takes a single path to be the output. For
notebooks of this project (marked in their metadata), a missing output path is added: the executed notebook is
written to the folder of the run that its parameters describe. All other arguments are passed on unchanged.
"""

import sys
from pathlib import Path
from typing import Any

from ilrm.errors import IlrmError
from ilrm.presets import run_config
from ilrm.system.paths import RUNS


def main() -> None:
    """Entry point of the console script `papermill`."""
    from papermill import cli

    arguments = sys.argv[1:]
    try:
        output = default_output(arguments)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
    except (IlrmError, OSError, cli.yaml.YAMLError) as error:
        print(f"papermill: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    if output is not None:
        notebook = _parse(arguments)["notebook_path"]
        arguments.insert(arguments.index(notebook) + 1, str(output))
        cli.INPUT_PIPED = False  # the notebook is given by path, not on stdin
        print(f"papermill: no output path given, writing {output}", file=sys.stderr)
    cli.papermill(args=arguments, prog_name="papermill")


def default_output(arguments: list[str]) -> Path | None:
    """Output path of the executed notebook if the arguments do not contain one, else None.

    Raises ConfigError if the parameters do not describe a valid run.
    """
    import nbformat

    parsed = _parse(arguments)
    notebook = Path(parsed.get("notebook_path") or "")
    if parsed.get("output_path") or parsed.get("help_notebook") or not notebook.is_file():
        return None
    try:
        kind = nbformat.read(notebook, as_version=4).metadata.get("ilrm", {}).get("output")
    except (ValueError, OSError):
        return None  # not a notebook, which papermill reports
    if kind == "run":
        return RUNS / run_config(**notebook_parameters(parsed)).name / notebook.name
    if kind == "notebook":
        return RUNS / "notebooks" / notebook.name
    return None


def notebook_parameters(parsed: dict[str, Any]) -> dict[str, Any]:
    """The notebook parameters in parsed papermill arguments, read in papermill's order of precedence."""
    from papermill import cli

    values: dict[str, Any] = {"scale": "tiny"}
    for text in parsed.get("parameters_base64") or ():
        values |= cli.yaml.load(cli.base64.b64decode(text), Loader=cli.NoDatesSafeLoader) or {}
    for path in parsed.get("parameters_file") or ():
        values |= cli.read_yaml_file(path) or {}
    for text in parsed.get("parameters_yaml") or ():
        values |= cli.yaml.load(text, Loader=cli.NoDatesSafeLoader) or {}
    for name, value in parsed.get("parameters") or ():
        values[name] = cli._resolve_type(value)
    for name, value in parsed.get("parameters_raw") or ():
        values[name] = value
    return {name: value for name, value in values.items() if value is not None}


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Parse arguments with papermill's own parser, ignoring errors."""
    from papermill import cli

    return cli.papermill.make_context("papermill", list(arguments), resilient_parsing=True).params


if __name__ == "__main__":
    main()
