"""Progress bars that also read well in a log: often on a terminal, every ten seconds elsewhere."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(items: Any = None, **options: Any) -> tqdm:
    """tqdm on stderr; options as tqdm's."""
    return tqdm(items, mininterval=1 if sys.stderr.isatty() else 10, **options)
