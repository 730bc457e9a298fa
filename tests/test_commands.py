"""The `ilrm` command: all commands under one name, by the definitions of `python -m`; help, completion."""

import argparse
import subprocess
import sys

import pytest

from ilrm.__main__ import COMMANDS, SHELLS, command, completion, main
from ilrm.config import RunConfig
from ilrm.presets import parameter_names
from ilrm.system.paths import PROJECT

QUICK = 1.0  # seconds of CPU
TIMED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""


def parsers(parser):
    """A parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_has_its_help(name):
    parser = argparse.ArgumentParser()
    command(name).add_arguments(parser)
    for one in parsers(parser):
        for action in one._actions:
            internal = action.help is argparse.SUPPRESS
            assert internal or action.help or isinstance(action, argparse._SubParsersAction), action


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_names_itself_as_it_was_called(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: ilrm {name} ")
    with pytest.raises(SystemExit, match="0"):
        command(name)(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m ")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["study", "run", "--help"]])
def test_help_takes_less_than_a_second_of_cpu(arguments):
    line = [sys.executable, "-c", TIMED, sys.executable, "-m", "ilrm", *arguments]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < QUICK


def test_what_is_no_command_is_said_in_a_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["trian"])
    assert "invalid choice: 'trian' (choose from" in capsys.readouterr().err
    assert main(["fields", "layerz"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown parameter 'layerz'")


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_commands_and_options(shell):
    script = completion(shell)
    assert all(name in script for name in COMMANDS) and "retry-failed" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_fields_are_listed_with_their_comments(capsys):
    assert main(["fields", "--scale", "tiny"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name}=" in printed for name in parameter_names())
    assert main(["fields", "minibatch", "matrix_lr"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "",
        "model",
        "  # r: cross-attention on 1/r of the tokens (Figure 4, Table 8)",
        f"  minibatch={RunConfig().model.minibatch}  (1, 2 or 4)",
        "",
        "train",
        "  # peak learning rate after the warm-up (steps), falling to zero by a cosine; matrix_lr: Muon's, "
        "None: lr",
        "  matrix_lr=0.004  (float or None) *",
    ]
