"""Reading of the TOML files that define studies and sweeps, and of their parts."""

import codecs
import tomllib
from pathlib import Path
from typing import Any

from ilrm.errors import IlrmError
from ilrm.fields import shown, shown_path
from ilrm.system.found_instead import describe_content, describe_path

LONGEST_TEXT = 1000  # characters of a name or title
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class StudyError(IlrmError):
    """A study file that is missing or invalid, or a study that cannot be run."""


def is_file_name(name: str) -> bool:
    """Whether a study or sweep is named by the path of its file."""
    return name.lower().endswith(".toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Contents of a TOML file in UTF-8, or in UTF-16 if it has a byte order mark. Raises StudyError."""
    content = b""
    try:
        content = path.read_bytes()
        utf_16 = content.startswith(_UTF_16)
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except OSError as error:
        unread = f"cannot be read ({error.strerror}): check the path"
        raise StudyError(f"{shown_path(path)} {describe_path(path) or unread}") from error
    except RecursionError as error:
        raise StudyError(f"{path} is nested too deeply: correct it") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not in UTF-8 ({error}): store it as UTF-8") from error
    except (
        ValueError
    ) as error:  # TOML, an integer of thousands of digits, or a path with a null character
        problem = describe_content(content) or f"is not valid TOML ({error}): correct it"
        raise StudyError(f"{shown_path(path)} {problem}") from error


def table(value: Any, what: str) -> dict[str, Any]:
    """Return a value that has to be a table; `what` names it in the error. Raises StudyError."""
    if not isinstance(value, dict):
        raise StudyError(f"{what} is {shown(value)}: give a table, as in fields = {{ layers = 3 }}")
    return value


def items(value: Any, what: str) -> list[Any]:
    """Return a value that has to be a list; `what` names it in the error. Raises StudyError."""
    if not isinstance(value, list):
        raise StudyError(f"{what} is {shown(value)}: give a list, as in values = [1, 2]")
    return value


def text(value: Any, what: str) -> str:
    """Return a value that has to be text for tables and figures; `what` names it in the error.

    Raises StudyError.
    """
    if not isinstance(value, str):
        raise StudyError(f"{what} is {shown(value)}: give text")
    if len(value) > LONGEST_TEXT or not "".join(value.split("\n")).isprintable():
        raise StudyError(
            f"{what} is {shown(value)}: give at most {LONGEST_TEXT} printable characters"
        )
    return value
