"""A PostgreSQL server of a test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def _call(*command: str) -> str:
    as_server = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_server, *command], cwd="/", check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


class Server:
    """A server with an empty database in a folder that is made by the user that runs it."""

    def __init__(self, programs: Path):
        self.folder = Path(_call("mktemp", "-d"))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.control = [str(programs / "pg_ctl"), "-D", str(self.folder / "data"), "-w"]
        _call(
            *(
                str(programs / "initdb"),
                "-D",
                str(self.folder / "data"),
                "-U",
                "ilrm",
                "-A",
                "trust",
            )
        )
        self.url = f"postgresql://ilrm@localhost:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=localhost"
        _call(*self.control, "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str) -> None:
        """Stop it as an administrator does ("fast") or as a crash does ("immediate")."""
        _call(*self.control, "-m", mode, "stop")

    def remove(self) -> None:
        subprocess.run(["rm", "-r", str(self.folder)], check=False)


@pytest.fixture
def server():
    """A running server, which the test may stop and start."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    made = Server(programs)
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # the test may have stopped it
            made.stop("immediate")
        made.remove()
