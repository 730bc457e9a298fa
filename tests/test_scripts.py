"""Shell scripts: they parse, and the recipe for Slurm starts what it says, once it is told what it needs."""

import json
import os
import re
import subprocess

import pytest

from ilrm.system.paths import PROJECT

SCRIPTS = [
    PROJECT / ".ci" / "run",
    *sorted(p for p in (PROJECT / "scripts").rglob("*") if p.suffix in (".sh", ".sbatch")),
]
RECIPE = PROJECT / "scripts" / "slurm" / "studies.sbatch"
SHARED = {"ILRM_STORAGE": "postgresql://me@host/studies", "ILRM_RUNS": "/shared/runs"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses(script):
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_containers_copy_and_make_what_is_there():
    """Neither is built here: what they name has to exist."""
    text = (PROJECT / "Dockerfile").read_text()
    copied = [
        name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()
    ]
    assert len(copied) > 8 and all((PROJECT / name).exists() for name in copied)
    container = json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text())
    assert (PROJECT / ".devcontainer" / container["build"]["dockerfile"]).is_file()
    made = re.findall(r"^RUN make (.+)$", text, re.MULTILINE)
    made += container["postCreateCommand"].removeprefix("make ").split()
    rules = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert made == ["env", "env", "hooks"] and set(made) <= set(rules)


@pytest.fixture
def task(tmp_path):
    """Runs the recipe as a task of an array, in a checkout whose `ilrm` prints its arguments."""
    command = tmp_path / ".venv" / "bin" / "ilrm"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$PWD: $OMP_NUM_THREADS threads: ilrm $*"\n')
    command.chmod(0o755)
    slurm = {
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_CPUS_PER_TASK": "4",
        "SLURM_ARRAY_TASK_ID": "7",
    }
    plain = {name: value for name, value in os.environ.items() if name not in SHARED}

    def run(**variables):
        return subprocess.run(
            ["bash", str(RECIPE), "layers", "--seeds", "3"],
            env=plain | slurm | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_every_task_of_an_array_works_on_the_shared_queue(task, tmp_path):
    done = task(**SHARED)
    first, command = done.stdout.splitlines()
    assert first.startswith("task 7 on ")
    assert command == (f"{tmp_path}: 4 threads: ilrm study run layers --seeds 3 --workers 1")


@pytest.mark.parametrize("missing", SHARED)
def test_what_all_nodes_must_share_is_asked_for(task, missing):
    done = task(**{name: value for name, value in SHARED.items() if name != missing})
    assert done.returncode and f"{missing}: export the" in done.stderr and not done.stdout
