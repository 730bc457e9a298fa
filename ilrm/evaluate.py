"""Evaluate weights on a dataset with one of the paper's protocols.

`python -m ilrm.evaluate --weights W --data D --protocol re10k --index evaluation_index.json --views 4`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ilrm.config import EvaluationConfig
from ilrm.data.frames.protocols import PROTOCOLS, Protocol
from ilrm.ranges import check_option
from ilrm.system.cli import Command
from ilrm.system.paths import RUNS

if TYPE_CHECKING:
    from ilrm.runs.store import RunFolder

SCENES_FAILED = 3  # exit status of an evaluation that left out missing or damaged scenes
MOST_REASONS = 20  # reasons printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the weights, the data, the protocol, and the output of the evaluation."""
    parser.add_argument("--weights", required=True, help="folder, released file or hub id")
    parser.add_argument("--data", type=Path, required=True,
                        help="dataset, folder of captures, or one capture")  # fmt: skip
    parser.add_argument("--protocol", choices=list(PROTOCOLS), required=True, metavar="PROTOCOL",
                        help=f"one of {', '.join(PROTOCOLS)}")  # fmt: skip
    parser.add_argument("--index", type=Path, help="your copy of the protocol's index file")
    parser.add_argument("--views", type=int, help="input views; default: the protocol's")
    parser.add_argument("--size", help="HxW; default: the protocol's, or the weights' if smaller")
    parser.add_argument("--scenes", type=int, help="evaluate only the first SCENES scenes")
    parser.add_argument("--camera-noise", type=float, default=0.0,
                        help="standard deviation of noise on the input camera positions, in pixels at "
                        "the median depth (Table 14)")  # fmt: skip
    parser.add_argument("--pictures", type=int, default=8,
                        help="number of scenes to keep renders of; default: %(default)s")  # fmt: skip
    parser.add_argument("--store", type=Path, default=RUNS, help="run store; default: %(default)s")
    parser.add_argument("--record", action="store_true", help="record the result for `make report`")
    parser.add_argument("--strict", action="store_true",
                        help="stop at a scene that is missing or damaged; by default the others are "
                        "evaluated, and the exit status is 3")  # fmt: skip


def perform(options: argparse.Namespace) -> int:
    """Evaluate, and print the summary and the result's folder."""
    result = _evaluate(options, PROTOCOLS[options.protocol])

    from ilrm.runs.evaluation_runs import RECORDED
    from ilrm.runs.records import EVALUATIONS, record
    from ilrm.system.distributed import processes

    if processes().is_first:
        _show(result)
        if options.record:
            print(f"recorded in {record(result.folder, RECORDED, EVALUATIONS)}")
    return SCENES_FAILED if result.metrics.get("failed") else 0


def _evaluate(options: argparse.Namespace, protocol: Protocol) -> RunFolder:
    evaluation = EvaluationConfig(camera_noise=options.camera_noise)
    views = protocol.views if options.views is None else options.views
    check_option("views", views)
    for name in ("scenes", "pictures"):
        check_option(name, getattr(options, name))

    # imported here because torch takes seconds to load, and --help should not wait for it
    from ilrm.runs import evaluation_runs as evaluations
    from ilrm.runs.records import check_recordable
    from ilrm.weights.state import read_weights

    if options.record:
        check_recordable()
    weights = read_weights(options.weights)
    framing = evaluations.framing_for(protocol, weights.config, options.size)
    job = evaluations.Job(
        weights, protocol, options.data, options.index, views, framing, evaluation, options.scenes
    )
    return evaluations.perform_evaluation(
        job, options.store, options.pictures, strict=options.strict
    )


def _show(result: RunFolder) -> None:
    from ilrm.evaluation.scoring import lpips_missing
    from ilrm.evaluation.summary import Estimate

    metrics = result.metrics
    skipped, failed = metrics["skipped"], metrics.get("failed", {})
    problems = f", {len(failed)} failed" if failed else ""
    print(
        f"{metrics['scenes']} scenes evaluated, {len(skipped)} skipped{problems}, {metrics['null']} null "
        "entries; mean [95% interval over scenes]"
    )
    for word, reasons in (("skipped", skipped), ("failed", failed)):
        for key, reason in list(reasons.items())[:MOST_REASONS]:
            print(f"  {word} {key}: {reason}")
        if len(reasons) > MOST_REASONS:
            print(f"  {word} {len(reasons) - MOST_REASONS} more, listed in metrics.json")
    for method, values in metrics["summary"].items():
        text = (f"{name} {Estimate(**value).text(3)}" for name, value in values.items())
        print(f"{method:>12}: {', '.join(text)}")
    if (reason := lpips_missing()) is not None:
        print(f"LPIPS not measured: {reason}")
    print(f"per-view metrics, summary and pictures: {result.folder}")


main = Command("python -m ilrm.evaluate", __doc__, add_arguments, perform, resumes=True)

if __name__ == "__main__":
    sys.exit(main())
