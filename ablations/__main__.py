"""Studies of many runs: list, run, status, record; baselines; sweeps. Every command has its own `--help`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

from ablations import sweep_command
from ablations.arguments import KINDS, add_scale, add_storage, add_workers, positive
from ablations.study import LENGTHS, MOST_SEEDS, SEEDS, find_studies
from ilrm.system.cli import Command

if TYPE_CHECKING:
    from ablations.runner import Plan

# Commands import torch, Optuna and pandas themselves: they take seconds to load, and --help should not wait.


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
    from ilrm.runs.records import RUNS, STUDIES, SWEEPS, check_recordable

    check_recordable()
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


def _baselines(options: argparse.Namespace) -> int:
    from ablations.record import record_baselines
    from ilrm.runs.records import check_recordable

    check_recordable()
    print(f"recorded in {record_baselines(options.scale)}")
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands with their arguments."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="studies and their variants")
    command.add_argument(
        "studies", nargs="*", default=["all"], help="names, or paths of TOML files"
    )
    command.set_defaults(command=_list)

    command = commands.add_parser("run", help="run all cells that are not done")
    command.add_argument("studies", nargs="+", help=KINDS)
    _add_cells(command)
    add_workers(command)
    command.add_argument("--retry-failed", action="store_true", help="run failed cells again")
    command.set_defaults(command=_run)

    command = commands.add_parser("sweep", help="search fields with Optuna")
    sweep_command.add_arguments(command)
    command.set_defaults(command=sweep_command.perform)

    command = commands.add_parser("status", help="number of cells by state")
    command.add_argument("studies", nargs="*", default=["all"], help=KINDS)
    _add_cells(command)
    command.set_defaults(command=_status)

    command = commands.add_parser(
        "record", help="add runs and sweeps to the records for the reports"
    )
    command.add_argument("studies", nargs="*", default=["all"], help=KINDS)
    add_scale(command)
    command.set_defaults(command=_record)

    command = commands.add_parser(
        "baselines",
        help="record a scale's baselines, which need no run: for the check of its regime",
    )
    add_scale(command)
    command.set_defaults(command=_baselines)


def _add_cells(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select the cells, and the storage that keeps their state."""
    add_scale(parser)
    add_storage(parser)
    parser.add_argument(
        "--seeds", type=positive, default=SEEDS, help="seeds per variant; default: %(default)s"
    )
    parser.add_argument(
        "--steps",
        type=positive,
        help="number of training steps, instead of the study's (to measure effects against training length)",
    )
    parser.add_argument(
        "--unrecorded",
        action="store_true",
        help="leave out the runs that are in the project's records: to continue on another machine",
    )


def perform(options: argparse.Namespace) -> int:
    """Perform a command and return the exit status: 1 if cells failed."""
    return options.command(options)


main = Command("python -m ablations", __doc__, add_arguments, perform, resumes=True)

if __name__ == "__main__":
    sys.exit(main())
