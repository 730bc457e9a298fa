"""Command line: evaluate a run's model on scenes in RE10K chunks under a given index.

`python -m ilrm.evaluate --run runs/NAME --data re10k --index evaluation_index.json --views 4`
"""

import argparse
import itertools
import sys
from pathlib import Path

from ilrm.data.chunks import ChunkScenes
from ilrm.data.protocols import read_evaluation_index
from ilrm.data.scenes import HeldOutScenes, framing
from ilrm.distributed import processes
from ilrm.errors import IlrmError
from ilrm.evaluation import Evaluation, evaluate, lpips_missing, summarize
from ilrm.files import atomic_path
from ilrm.progress import progress_bar
from ilrm.runs import Run


def evaluate_run(
    run: Run, data: Path, index: Path, views: int | None = None, scenes: int | None = None
) -> Evaluation:
    """Metrics of a run's model on test scenes elsewhere (see `ilrm.evaluation`).

    Images are cropped and scaled to the size that the model was trained on. `views`: input views, by
    default the index's own; `scenes`: only that many. Raises DataError on whatever is wrong with the data.
    """
    protocol = read_evaluation_index(index, views)
    held_out = HeldOutScenes(ChunkScenes(data, "test"), protocol, framing(run.config.data))
    total = min(len(protocol), scenes or len(protocol))
    shown = progress_bar(held_out, desc="evaluate", unit="scene", total=total)
    model = run.model().to(processes().device)
    return evaluate(model, itertools.islice(shown, total))


def main(arguments: list[str] | None = None) -> int:
    """Prints the summary and, with --out, writes the rows as CSV. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ilrm.evaluate", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a complete run")
    parser.add_argument("--data", type=Path, required=True, help="folder with test/index.json")
    parser.add_argument("--index", type=Path, required=True, help="evaluation index (JSON)")
    parser.add_argument("--views", type=int, help="input views; by default the index's own")
    parser.add_argument("--scenes", type=int, help="evaluate only the first so many")
    parser.add_argument("--out", type=Path, help="CSV with one row a scene, frame and method")
    options = parser.parse_args(arguments)
    try:
        run = Run(options.run)
        found = evaluate_run(run, options.data, options.index, options.views, options.scenes)
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    per_view = found.per_view
    print(f"{per_view.scene.nunique()} scenes evaluated, mean [95% interval over scenes]")
    for method, metrics in summarize(per_view).items():
        values = (
            f"{n} {v['mean']:.3f} [{v['low']:.3f}, {v['high']:.3f}]" for n, v in metrics.items()
        )
        print(f"{method:>12}: {', '.join(values)}")
    if found.depth_spearman_pooled is not None:
        print(f"depth rank correlation, all pixels together: {found.depth_spearman_pooled:.3f}")
    if (reason := lpips_missing()) is not None:
        print(f"lpips not measured: {reason}")
    if options.out:
        with atomic_path(options.out) as beside:
            per_view.to_csv(beside, index=False, float_format="%.6g")
    return 0


if __name__ == "__main__":
    sys.exit(main())
