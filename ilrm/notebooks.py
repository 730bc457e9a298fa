"""What a notebook needs besides the package: its parameters, checked, and warnings kept short."""

import types
from typing import Any

from ilrm.config import RunConfig, check_names
from ilrm.presets import run_config

_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def read_config(namespace: dict[str, Any]) -> RunConfig:
    """The run that a notebook's parameters describe: call it with globals(), before any other name.

    papermill only warns of a parameter that the notebook does not know; here an unknown name, or a value
    of a wrong type, is a ConfigError that names the nearest right one. None means the preset's value.
    """
    values = {name: value for name, value in _parameters(namespace).items() if value is not None}
    return run_config(values.pop("scale", "tiny"), **values)


def check_parameters(namespace: dict[str, Any], known: str) -> None:
    """Raise ConfigError on a parameter that a notebook does not have, with the nearest right name: call it
    with globals(), before any other name. `known`: the names of its parameters, with spaces between.
    """
    check_names(_parameters(namespace), known.split(), "the notebook")


def _parameters(namespace: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in _IPYTHON
        and not isinstance(value, types.ModuleType)
        and not callable(value)
    }
