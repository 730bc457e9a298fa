"""Reading of CSV tables, in which keys remain text."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ilrm.errors import RunError

# Columns that identify a row. pandas would read the scenes NA, 000001 and 1e5 as no value, 1 and 100000.
KEYS = ("run", "scene", "data", "method", "commit", "fields")
_NO_VALUE = ["", "nan", "NaN"]  # read as NaN in all other columns


def read_table(
    path: Path, *more_keys: str, columns: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a CSV file in UTF-8; columns in `KEYS` and `more_keys` are text, even if they look like numbers.

    Raises RunError on a file that is damaged: not a table, without one of the `columns` or `numbers` that its
    reader needs, or with anything but numbers in the latter.
    """
    try:
        names = pd.read_csv(path, nrows=0, encoding="utf-8").columns
        keys = [name for name in names if name in (*KEYS, *more_keys)]
        others: dict[str, list[str]] = {name: _NO_VALUE for name in names if name not in keys}
        table = pd.read_csv(
            path,
            encoding="utf-8",
            dtype=dict.fromkeys(keys, str),
            keep_default_na=False,
            na_values=others,  # type: ignore[arg-type]
        )
        if missing := [name for name in (*columns, *numbers) if name not in table]:
            raise ValueError(f"no column {', '.join(missing)}")
        return table.astype(dict.fromkeys(numbers, float)) if numbers else table
    # empty, cut short in the middle of a row, not UTF-8; a number of more than 308 digits
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise RunError(
            f"{path} is damaged ({reason}): remove it and run again, or fetch it again"
        ) from error
