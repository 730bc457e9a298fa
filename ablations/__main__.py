"""Command line: `python -m ablations list | run | status | record | sweep`, each with `--help`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ablations.arguments import default_storage, positive
from ablations.study import LENGTHS, MOST_SEEDS, SEEDS, find_studies
from ilrm.errors import IlrmError
from ilrm.presets import SCALES
from ilrm.system.files import atomic_path

if TYPE_CHECKING:
    from ablations.runner import Plan

# Commands import torch, Optuna and pandas themselves: they take seconds to load, and --help should not wait.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 1 if cells failed, 2 on a user error, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except IlrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.strerror or error} ({error.filename})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: run the same command again to resume", file=sys.stderr)
        return 130


def _list(options: argparse.Namespace) -> int:
    for study in find_studies(options.studies):
        print(f"{study.name}: {study.title}{f' ({study.paper})' if study.paper else ''}")
        print(f"    {study.claim}")
        for variant in study.variants:
            fields = ", ".join(f"{name}={value}" for name, value in variant.fields.items())
            print(f"    {variant.name}: {fields or 'the preset'}")
    return 0


def _run(options: argparse.Namespace) -> int:
    from ablations.runner import run

    failures = run(_plan(options), options.workers, options.retry_failed)
    for name, error in failures.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if failures:
        print(f"{len(failures)} failed: use --retry-failed to run them again", file=sys.stderr)
    return 1 if failures else 0


def _status(options: argparse.Namespace) -> int:
    plan = _plan(options, create=False)
    for queue, cells in plan.queues:
        counts = Counter(queue.states(cells, recovered=True).values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        print(f"{queue.study}@{options.scale}: {len(cells)} cells: {states}")
        for name, error in queue.failures(cells).items():
            print(f"    failed: {name}: {error}")
    return 0


def _record(options: argparse.Namespace) -> int:
    from ablations.record import SHOWN_SCALE, left_out, record, record_shown, record_sweeps
    from ablations.storage import quiet_optuna
    from ilrm.runs.records import RUNS, STUDIES, SWEEPS

    quiet_optuna()
    studies = find_studies(options.studies)
    studies += [study.trained_for(n) for study in studies for n in LENGTHS.get(options.scale, ())]
    cells = [cell for study in studies for cell in study.cells(options.scale, MOST_SEEDS)]
    count = record(cells, options.scale)
    print(
        f"{count} complete runs recorded in {STUDIES / options.scale}"
        if count
        else f"nothing to record at --scale {options.scale}"
    )
    for line in left_out(cells, options.scale, everywhere=not count):
        print(line)
    if options.scale == SHOWN_SCALE:
        for name in record_shown(options.scale):
            print(f"{name} recorded with its weights in {RUNS}")
    for name in record_sweeps(options.scale):
        print(f"sweep {name} recorded in {SWEEPS / options.scale}")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from ablations.storage import quiet_optuna
    from ablations.sweep import find_sweep, importances, results, run, trials_file

    quiet_optuna()
    sweep = find_sweep(options.sweep)
    study = run(sweep, options.scale, options.storage, options.trials, options.workers)
    table = results(study, sweep)
    path = trials_file(sweep, options.scale)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    print(table.head(10).to_string(index=False))
    for k, objective in enumerate(sweep.objectives):
        shares = ", ".join(f"{name} {share:.2f}" for name, share in importances(study, k).items())
        print(f"importances for {objective}: {shares or 'too few trials'}")
    if len(sweep.objectives) > 1:
        print("Pareto front: trials", ", ".join(str(t.number) for t in study.best_trials))
    print(f"all trials: {path}")
    return 0


def _plan(options: argparse.Namespace, create: bool = True) -> Plan:
    from ablations.record import recorded
    from ablations.runner import Plan
    from ablations.storage import quiet_optuna

    quiet_optuna()
    studies = find_studies(options.studies)
    if options.steps:
        studies = [study.trained_for(options.steps) for study in studies]
    without = set(recorded(options.scale).runs.index) if options.unrecorded else ()
    return Plan.make(studies, options.scale, options.storage, options.seeds, without, create)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ablations", description=__doc__)
    commands = parser.add_subparsers(required=True)

    shown = commands.add_parser("list", help="studies and their variants")
    shown.add_argument("studies", nargs="*", default=["all"])
    shown.set_defaults(command=_list)

    scaled = argparse.ArgumentParser(add_help=False)
    scaled.add_argument("--scale", default="tiny", choices=SCALES)
    stored = argparse.ArgumentParser(add_help=False, parents=[scaled])
    stored.add_argument(
        "--storage",
        default=default_storage(),
        help="journal file, or postgresql://user:password@host/name (default: %(default)s)",
    )
    shared = argparse.ArgumentParser(add_help=False, parents=[stored])
    shared.add_argument(
        "--seeds", type=positive, default=SEEDS, help="seeds per variant (default: %(default)s)"
    )
    shared.add_argument(
        "--steps",
        type=positive,
        help="training steps, where they should not be those of the study (effects against length)",
    )
    shared.add_argument(
        "--unrecorded",
        action="store_true",
        help="leave out the runs that are in the project's records: to go on on another machine",
    )
    kinds = "names (see list), paths of TOML files, or all"

    command = commands.add_parser("run", parents=[shared], help="run all cells that are not done")
    command.add_argument("studies", nargs="+", help=kinds)
    command.add_argument(
        "--workers", type=positive, default=os.cpu_count(), help="processes on this host"
    )
    command.add_argument("--retry-failed", action="store_true", help="run failed cells again")
    command.set_defaults(command=_run)

    command = commands.add_parser("sweep", parents=[stored], help="search fields with Optuna")
    command.add_argument("sweep", help="name (ablations/sweeps/) or path of a TOML file")
    command.add_argument(
        "--trials", type=positive, default=20, help="total number of trials, with earlier ones"
    )
    command.add_argument(
        "--workers", type=positive, default=os.cpu_count(), help="processes on this host"
    )
    command.set_defaults(command=_sweep)

    command = commands.add_parser("status", parents=[shared], help="number of cells by state")
    command.add_argument("studies", nargs="*", default=["all"], help=kinds)
    command.set_defaults(command=_status)

    command = commands.add_parser(
        "record", parents=[scaled], help="add runs and sweeps to the records for the reports"
    )
    command.add_argument("studies", nargs="*", default=["all"], help=kinds)
    command.set_defaults(command=_record)
    return parser


if __name__ == "__main__":
    sys.exit(main())
