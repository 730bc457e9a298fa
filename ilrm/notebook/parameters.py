"""Validation of notebook parameters, and figures that some models do not support."""

import types
from collections.abc import Callable
from typing import Any

from ilrm.config import RunConfig
from ilrm.errors import ConfigError, MissingPartError
from ilrm.fields import check_names
from ilrm.presets import run_config

_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def read_config(namespace: dict[str, Any]) -> RunConfig:
    """The run configuration that a notebook's parameters describe.

    Call it with globals() before defining any other name. papermill only warns about unknown parameters; here
    an unknown name or a value of a wrong type raises ConfigError, with the closest valid name. None means the
    preset's value.
    """
    values = {name: value for name, value in _parameters(namespace).items() if value is not None}
    return run_config(values.pop("scale", "tiny"), **values)


_KINDS = {
    str: "text (papermill's -r keeps digits as text)",
    int: "an integer",
    bool: "true or false",
    list: "a list",
}


def check_parameters(namespace: dict[str, Any], **kinds: type) -> None:
    """Raise ConfigError on an unknown parameter, with the closest valid name, and on a value that does not
    have the type given in `kinds` (str, int, bool or list; None is always valid).

    Call it with globals() before defining any other name.
    """
    given = _parameters(namespace)
    check_names(given, list(kinds), "the notebook")
    for name, value in given.items():
        if value is not None and type(value) is not kinds[name]:
            raise ConfigError(f"{name}={value!r}: give {_KINDS[kinds[name]]}")


def or_reason(make: Callable[..., Any], *values: Any) -> Any:
    """Return `make(*values)`, or None if the model lacks the required part, whose reason is then printed.

    Also returns None if one of the values is None.
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
