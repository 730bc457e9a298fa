"""Checks of the names and values of configuration fields, with the nearest valid one in the error.

A comment above a field in the source describes it and the fields directly below it.
"""

import ast
import dataclasses
import difflib
import inspect
import textwrap
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from ilrm.errors import ConfigError

LONGEST = 60  # characters of a wrong value that an error quotes
LONGEST_PATH = 1000  # characters of a path that an error quotes in full


def shown(value: object) -> str:
    """A wrong value as an error quotes it, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "an integer of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def shown_path(path: object) -> str:
    """A path as an error quotes it; the middle is left out if it is too long to be that of a file."""
    text = str(path)
    return text if len(text) <= LONGEST_PATH else f"{text[:LONGEST]}...{text[-LONGEST:]}"


def check_names(values: Mapping[Any, Any], allowed: list[str], where: str) -> None:
    """Raise ConfigError if a key of `values` is not in `allowed`, naming the nearest valid one."""
    for name in values:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            raise ConfigError(f"unknown parameter {shown(name)} in {where}: {hint}")


@cache
def annotations(config: type) -> Mapping[str, Any]:
    """The types of a configuration's fields. Cached, because reports make thousands of configurations."""
    return types.MappingProxyType(typing.get_type_hints(config))


def check_types(config: object) -> None:
    """Raise ConfigError on the first field whose value does not fit its annotation."""
    config_type: type = type(config)
    for name, hint in annotations(config_type).items():
        check_type(name, getattr(config, name), hint)


def check_type(name: str, value: object, hint: Any) -> None:
    """Raise ConfigError if a field's value does not fit its annotation."""
    if not _fits(value, hint):
        raise ConfigError(f"{name}={shown(value)}: {_describe(hint, value)}")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{name}={shown(value)}: leave out the null character")


def _fits(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in typing.get_args(hint))
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, a) for a in typing.get_args(hint))
    if origin is tuple:
        kinds = typing.get_args(hint)
        return (
            isinstance(value, tuple)
            and len(value) == len(kinds)
            and all(_fits(v, k) for v, k in zip(value, kinds, strict=True))
        )
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any, value: object) -> str:
    if typing.get_origin(hint) is Literal:
        options = [str(a) for a in typing.get_args(hint)]
        near = difflib.get_close_matches(str(value), options, n=1)
        return f"give one of {', '.join(options)}" + (f" (nearest: {near[0]})" if near else "")
    if typing.get_origin(hint) is tuple:
        return f"give {len(typing.get_args(hint))} integers, e.g. [15, 31]"
    return f"give a value of type {getattr(hint, '__name__', hint)}"


def commented(config: type) -> list[tuple[str, list[dataclasses.Field[Any]]]]:
    """The fields of a configuration in their order, grouped under the comment that describes them."""
    source = textwrap.dedent(inspect.getsource(config))
    lines = source.splitlines()
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    fields = {f.name: f for f in dataclasses.fields(config)}
    groups: list[tuple[str, list[dataclasses.Field[Any]]]] = []
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above = node.lineno - 1
        while lines[above - 1].lstrip().startswith("#"):
            above -= 1
        comment = [line.strip().removeprefix("# ") for line in lines[above : node.lineno - 1]]
        if comment:
            groups.append((" ".join(comment), []))
        groups[-1][1].append(fields[node.target.id])
    return groups


def kind(config: type, name: str) -> str:
    """The values that a field takes, in words: "F, H or Q", "int or None", "int, int"."""
    return _kind(annotations(config)[name])


def _kind(hint: Any) -> str:
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return ", ".join(map(_kind, parts))
    if typing.get_origin(hint) is Literal:
        return " or ".join(filter(None, (", ".join(map(str, parts[:-1])), str(parts[-1]))))
    if typing.get_origin(hint) is types.UnionType:
        return " or ".join(map(_kind, parts))
    return "None" if hint is type(None) else hint.__name__
