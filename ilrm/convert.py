"""Command line: a released checkpoint of the authors as a weights folder of ours.

`python -m ilrm.convert CHECKPOINT --out FOLDER`
"""

import argparse
import sys
from pathlib import Path

from ilrm.data.framing import parse_size
from ilrm.system.cli import one_line_errors


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Writes a weights folder and prints what was inferred. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ilrm.convert", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the folder into")
    parser.add_argument("--views", type=int, help="input views that it was trained with")
    parser.add_argument("--size", help="HxW that it was trained on")
    options = parser.parse_args(arguments)

    # torch takes seconds to import, which --help does not wait for
    from ilrm import cost
    from ilrm.weights.released import load_released
    from ilrm.weights.state import write_weights

    size = parse_size(options.size) if options.size else None
    weights = load_released(options.checkpoint, options.views, size)
    folder = write_weights(weights, options.out)
    c = weights.config.model
    print(
        f"{cost.parameters(c):,} parameters: {c.layers} layers, width {c.width}, {c.heads} heads, patch "
        f"{c.patch}, uplift {c.uplift}, viewpoints {c.viewpoint_scale}, rays {c.rays}"
    )
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
