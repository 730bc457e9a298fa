"""Progress bars that update every second on a terminal and every ten seconds in a log."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(items: Any = None, **options: Any) -> tqdm:
    """A tqdm progress bar on stderr; `options` are passed to tqdm."""
    return tqdm(items, mininterval=1 if sys.stderr.isatty() else 10, **options)
