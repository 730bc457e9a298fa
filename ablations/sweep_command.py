"""Search fields with Optuna, `python -m ablations sweep NAME` or `ilrm sweep NAME`."""

import argparse

from ablations.arguments import add_scale, add_storage, add_workers, trials
from ilrm.system.cli import Command
from ilrm.system.files import atomic_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sweep, its number of trials, and where and by how many processes it is run."""
    parser.add_argument("sweep", help="name (ablations/sweeps/) or path of a TOML file")
    add_scale(parser)
    add_storage(parser)
    parser.add_argument(
        "--trials",
        type=trials,
        default=20,
        help="total number of trials, with earlier ones; default: %(default)s",
    )
    add_workers(parser)


def perform(options: argparse.Namespace) -> int:
    """Search, write the table of trials, and print the best ones."""
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


main = Command("python -m ablations sweep", __doc__, add_arguments, perform, resumes=True)
