"""Reading of JSON files: those written by others, and results saved by this project."""

import json
from pathlib import Path
from typing import Any

from ilrm.errors import DataError, IlrmError
from ilrm.system.found_instead import describe_content, describe_path


def read_json(path: Path, kind: type[IlrmError] = DataError, fix: str = "export it again") -> Any:
    """Contents of a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises an error of this kind, which ends in `fix`, if the file cannot be read or is not valid JSON.
    """
    content = b""
    try:
        content = path.read_bytes()
        return json.loads(content)
    except OSError as error:
        unread = f"cannot be read ({error.strerror}): check the path"
        raise kind(f"{path} {describe_path(path) or unread}") from error
    except RecursionError as error:
        raise kind(f"{path} is nested too deeply: {fix}") from error
    except ValueError as error:
        if (words := describe_content(content)) is not None:
            raise kind(f"{path} {words}") from error
        raise kind(f"{path} is truncated or not valid JSON ({error}): {fix}") from error


def read_kept(path: Path) -> dict[str, Any]:
    """A saved result from which work resumes; empty if the file is missing or damaged, so that it is made
    again.

    A line says that a file is damaged.
    """
    if not path.exists():
        return {}
    try:
        value = read_json(path, fix="it is made again")
        if not isinstance(value, dict):
            raise DataError(f"{path} is not an object: it is made again")
    except DataError as error:
        print(error, flush=True)
        return {}
    return value
