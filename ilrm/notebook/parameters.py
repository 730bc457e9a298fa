"""Validation of notebook parameters, and the reasons for figures that a model does not support."""

import ast
import math
import types
from collections.abc import Callable, Collection, Iterable
from typing import Any, get_args

from ilrm.config import RunConfig
from ilrm.errors import ConfigError, MissingPartError
from ilrm.fields import check_names, shown
from ilrm.presets import SCALES, parameter_names, run_config
from ilrm.ranges import OPTIONS, VIEW_CHOICES, Real, Whole

_IPYTHON = {"In", "Out", "get_ipython", "exit", "quit", "open"}
_INJECTED = "# Parameters\n"  # how papermill starts the cell that it adds
_CHECKS = {"read_config", "check_parameters"}
_LARGEST = 10**9

# a type, a union of types, the allowed texts, or a range
Kind = type | types.UnionType | tuple[str, ...] | Whole | Real

# Parameters of the notebooks that do not describe a run, by the name in their metadata
PARAMETERS: dict[str, dict[str, Kind]] = {
    "attention": {
        "weights": str,
        "capture": str,
        "room": OPTIONS["room"],
        "rooms": OPTIONS["rooms"],
        "views": OPTIONS["views"],
        "size": str,
        "queries": list,
    },
    "benchmark": {
        "scale": SCALES,
        "tables": str | int,
        "seconds": OPTIONS["seconds"],
        "record": bool,
    },
    "quickstart": {"capture": str, "out": str},
    "reconstruct": {
        "capture": str,
        "weights": str,
        "views": OPTIONS["views"],
        "size": str,
        "images": str,
        "choice": VIEW_CHOICES,
        "around": str,
        "frames": str,
        "everything": bool,
        "refine": OPTIONS["refine"],
        "splat": OPTIONS["splat"],
        "colmap": str,
        "out": str,
    },
}
# parameters without a computed default, which must not be None
_NEEDED = {
    "rooms", "tables", "seconds", "record", "images", "choice", "everything", "refine", "colmap",
}  # fmt: skip


def read_config(namespace: dict[str, Any]) -> RunConfig:
    """The run configuration that a notebook's parameters describe.

    Call it with globals() in the first cell after the parameters. papermill only warns about unknown
    parameters; here an unknown name or a value of a wrong type raises ConfigError, with the closest valid
    name. None means the preset's value.
    """
    return config_of(_parameters(namespace, ["scale", *parameter_names()]))


def config_of(parameters: dict[str, Any]) -> RunConfig:
    """The run configuration that parameters describe; None means the preset's value. Raises ConfigError."""
    values = {name: value for name, value in parameters.items() if value is not None}
    return run_config(values.pop("scale", "tiny"), **values)


def check_parameters(namespace: dict[str, Any], **kinds: Kind) -> None:
    """Raise ConfigError on an unknown parameter, with the closest valid name, and on a value that is not of
    the kind given in `kinds`: str, int, float, bool or list, one of several texts, or a range. None is valid
    for parameters whose default is computed.

    Call it with globals() in the first cell after the parameters.
    """
    check_values(_parameters(namespace, kinds), kinds)


def check_values(given: dict[str, Any], kinds: dict[str, Kind]) -> None:
    """As `check_parameters`, for {name: value}."""
    check_names(given, list(kinds), "the notebook")
    for name, value in given.items():
        fits = name not in _NEEDED if value is None else _fits(value, kinds[name])
        if not fits:
            raise ConfigError(f"{name}={shown(value)}: give {_describe(kinds[name])}")


def _fits(value: Any, kind: Kind) -> bool:
    if isinstance(kind, tuple):
        return isinstance(value, str) and value in kind
    if isinstance(kind, types.UnionType):
        return any(_fits(value, one) for one in get_args(kind))
    if isinstance(kind, Whole | Real):
        return (
            type(value) in ((int,) if isinstance(kind, Whole) else (int, float)) and value in kind
        )
    if kind is float:
        return type(value) in (int, float) and abs(value) <= _LARGEST and math.isfinite(value)
    if kind is int:
        return type(value) is int and 0 <= value <= _LARGEST
    return type(value) is kind


def _describe(kind: Kind) -> str:
    if isinstance(kind, tuple):
        return f"one of {', '.join(kind)}"
    if isinstance(kind, Whole | Real):
        return str(kind)
    if isinstance(kind, types.UnionType):
        return " or ".join(_describe(one) for one in get_args(kind))
    return {
        str: "text (papermill's -r keeps digits as text)",
        int: f"an integer from 0 to {_LARGEST}",
        float: "a finite number",
        bool: "true or false",
        list: "a list",
    }[kind]


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


def _parameters(namespace: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The parameters among a notebook's names: those that the cells of parameters assign.

    In a kernel that has run the notebook before, the other names are those of the notebook itself.
    """
    assigned = _assigned(namespace.get("In", ()), set(known))
    return {
        name: value
        for name, value in namespace.items()
        if (assigned is None or name in assigned)
        and not name.startswith(("_", "PAPERMILL_"))
        and name not in _IPYTHON
        and not isinstance(value, types.ModuleType)
        and not callable(value)
    }


def _assigned(sources: Collection[str], known: set[str]) -> set[str] | None:
    """Names assigned by the cells of parameters since the notebook's own one was last run; None if there is
    none.

    A cell of parameters assigns a known name or was added by papermill, and does not check parameters.
    """
    cells = []
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        names = {name for statement in tree.body for name in _targets(statement)}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if (names & known or source.startswith(_INJECTED)) and not used & _CHECKS:
            cells.append(names)
    if not cells:
        return None
    own = cells[0]
    last = max(i for i, names in enumerate(cells) if 2 * len(names & own) > len(own) or not i)
    return set().union(*cells[last:])


def _targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    else:
        targets = []
    return [target.id for target in targets if isinstance(target, ast.Name)]
