"""Values of cameras in JSON files."""

import math
from typing import Any

from ilrm.errors import DataError
from ilrm.fields import shown

YES, NO = ("true", "yes", "1"), ("false", "no", "0", "none", "")


def field(entry: dict[str, Any], name: str, where: str) -> Any:
    """A required value. Raises DataError if it is missing."""
    if name not in entry:
        raise DataError(f"{where} has no {name}: export the cameras again")
    return entry[name]


def real(entry: dict[str, Any], name: str, where: str, default: float | None = None) -> float:
    """A number, which may be written as text. Raises DataError, also if it is missing without a default."""
    if default is not None and name not in entry:
        return default
    value = field(entry, name, where)
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(name, value, where) from None


def pixels(entry: dict[str, Any], name: str, where: str) -> int:
    """A whole number of pixels. Raises DataError."""
    value = real(entry, name, where)
    if not math.isfinite(value) or value != int(value):
        raise _wrong(name, entry[name], where, ", not a whole number of pixels")
    return int(value)


def flag(entry: dict[str, Any], name: str, where: str) -> bool:
    """A truth value, which may be written as text; False if it is missing. Raises DataError."""
    value = entry.get(name, False)
    text = str(value).strip().lower()
    if text not in (*YES, *NO):
        raise _wrong(name, value, where, ", neither true nor false")
    return text in YES


def _wrong(name: str, value: Any, where: str, what: str = "") -> DataError:
    return DataError(
        f"{where}: a value of a wrong type ({name} is {shown(value)}{what}): export the cameras again"
    )
