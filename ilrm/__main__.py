"""The `ilrm` command: every command line of the project under one name.

Each one is defined in a module of its own, which `python -m MODULE` runs as well. Only the one that is called
is imported: studies and reports are named here as text, since this package does not depend on them.
"""

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from ilrm.system.cli import Command
from ilrm.system.paths import find_suite
from ilrm.system.process import in_utf_8

# name: (module, help text)
COMMANDS = {
    "demo": ("ilrm.demo", "photos to a scene in a browser, in half a minute"),
    "train": ("ilrm.train", "train a model, or follow a published recipe"),
    "evaluate": ("ilrm.evaluate", "evaluate weights on a data set"),
    "reconstruct": ("ilrm.reconstruct", "photos with cameras to a scene of 3D Gaussians"),
    "benchmark": ("ilrm.benchmark", "measure the paper's configurations on this machine"),
    "convert": ("ilrm.convert", "convert the authors' checkpoints to weights folders"),
    "tradeoff": ("ilrm.tradeoff", "time against quality on one capture, beside 3D-GS"),
    "spread": ("ilrm.spread", "quality of weights against the angle between the input views"),
    "study": ("ablations.__main__", "run studies of many runs, and record them"),
    "sweep": ("ablations.sweep_command", "search configuration fields"),
    "compare": ("reports.compare", "effects of studies from the run store"),
    "report": ("reports.__main__", "tables and figures from the records"),
    "notebook": ("ilrm.notebook.__main__", "execute one of the project's notebooks"),
    "fields": ("ilrm.show_fields", "every configuration field with its meaning"),
}
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script `ilrm`; returns the exit status."""
    if arguments is None:
        in_utf_8()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return command(given[0])(given[1:], prog=f"ilrm {given[0]}")
    options = _parser().parse_args(given)
    print(completion(options.shell))
    return 0


def command(name: str) -> Command:
    """Import the module of a command and return the command."""
    find_suite()
    return importlib.import_module(COMMANDS[name][0]).main


def completion(shell: str) -> str:
    """Return the script that completes commands and options in a shell."""
    import shtab

    parser, commands = _with_commands()
    for name, (_, what) in COMMANDS.items():
        below = commands.add_parser(name, help=what)
        command(name).add_arguments(below)
        for action in below._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _parser() -> argparse.ArgumentParser:
    """Parser without the options of the commands, so that their modules are not imported."""
    parser, commands = _with_commands()
    for name, (_, what) in COMMANDS.items():
        commands.add_parser(name, help=what)
    completing = commands.add_parser("completion", help="print the completion script of a shell")
    completing.add_argument("shell", choices=SHELLS, help='e.g. `eval "$(ilrm completion bash)"`')
    return parser


def _with_commands() -> tuple[argparse.ArgumentParser, argparse._SubParsersAction]:
    parser = argparse.ArgumentParser(
        prog="ilrm",
        description="iLRM, an iterative large 3D reconstruction model: training, evaluation and ablations.",
        epilog="`ilrm COMMAND --help` lists the options of a command.",
    )
    version = importlib.metadata.version("ilrm")
    parser.add_argument("--version", action="version", version=f"ilrm {version}")
    return parser, parser.add_subparsers(required=True, metavar="COMMAND", title="commands")


if __name__ == "__main__":
    sys.exit(main())
