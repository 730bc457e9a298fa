"""What a notebook needs besides the package: its parameters, checked, and figures that a model may lack."""

import types
from collections.abc import Callable
from typing import Any

from ilrm.config import RunConfig, check_names
from ilrm.errors import ConfigError, MissingPartError
from ilrm.presets import run_config

_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def read_config(namespace: dict[str, Any]) -> RunConfig:
    """The run that a notebook's parameters describe: call it with globals(), before any other name.

    papermill only warns of a parameter that the notebook does not know; here an unknown name, or a value
    of a wrong type, is a ConfigError that names the nearest right one. None means the preset's value.
    """
    values = {name: value for name, value in _parameters(namespace).items() if value is not None}
    return run_config(values.pop("scale", "tiny"), **values)


_KINDS = {str: "text (papermill's -r keeps digits as text)", int: "a whole number", list: "a list"}


def check_parameters(namespace: dict[str, Any], **kinds: type) -> None:
    """Raise ConfigError on a parameter that a notebook does not have, with the nearest right name, and on a
    value of another kind than str, int or list (None always fits): call it with globals(), before any
    other name.
    """
    given = _parameters(namespace)
    check_names(given, list(kinds), "the notebook")
    for name, value in given.items():
        if value is not None and type(value) is not kinds[name]:
            raise ConfigError(f"{name}={value!r}: give {_KINDS[kinds[name]]}")


def or_reason(make: Callable[..., Any], *values: Any) -> Any:
    """What `make` makes of the values; None where the model lacks the part (the reason is printed), or where
    a value is None for that reason.
    """
    if any(value is None for value in values):
        return None
    try:
        return make(*values)
    except MissingPartError as error:
        print(f"not shown: {error}")
        return None


def _parameters(namespace: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in _IPYTHON
        and not isinstance(value, types.ModuleType)
        and not callable(value)
    }
