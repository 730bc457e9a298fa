"""Temporary files: nothing stays behind a killed process, nothing is taken from a live one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ilrm.system import leftovers
from ilrm.system.files import atomic_folder, atomic_path, write_json

WRITING = """
import sys, time
from pathlib import Path
from ilrm.system.files import atomic_folder, atomic_path
path = Path(sys.argv[1])
with atomic_path(path / "a.csv") as file, atomic_folder(path / "scene") as folder:
    file.write_text("half")
    (folder / "half.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def nothing_cleaned_yet(monkeypatch):
    monkeypatch.setattr(leftovers, "_cleaned", set())


def writer(folder):
    """A process that is in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


def temporaries(folder):
    return sorted(path.name for path in folder.glob(".*"))


def test_what_a_killed_process_leaves_is_removed_by_the_next_that_writes_there(tmp_path):
    process = writer(tmp_path)
    write_json(tmp_path / "b.json", 1)
    assert len(temporaries(tmp_path)) == 2  # the process is alive
    process.send_signal(signal.SIGKILL)
    process.wait()
    leftovers._cleaned.clear()
    write_json(tmp_path / "b.json", 2)
    assert temporaries(tmp_path) == [] and [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path, monkeypatch):
    """Killed between the two renames: the earlier folder is there again."""
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene/old.txt").write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from ilrm.system import leftovers, files\n"
        "plain = Path.replace\n"
        "def replace(self, target):\n"
        "    plain(self, target)\n"
        "    if '.older' in str(target): os.kill(os.getpid(), 9)\n"
        "Path.replace = replace\n"
        "with files.atomic_folder(Path(sys.argv[1]) / 'scene') as folder:\n"
        "    (folder / 'new.txt').write_text('new')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9 and not (tmp_path / "scene").exists()
    write_json(tmp_path / "b.json", 1)
    assert (tmp_path / "scene/old.txt").read_text() == "old" and temporaries(tmp_path) == []


def test_names_that_are_not_ours_are_left_alone(tmp_path):
    names = [".hidden", ".a.tmp", ".a.csv.123.tmp", "a.tmp", ".a.0123456789ab.tmp.d/x"]
    (tmp_path / ".a.0123456789ab.tmp.d").mkdir()
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / ".b.0123456789ab.tmp").symlink_to(tmp_path / "a.tmp")
    write_json(tmp_path / "b.json", 1)
    assert all((tmp_path / name).exists() for name in names[:-1])


def test_files_and_folders_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "a").write_text("")
        with atomic_path(tmp_path / "file.txt") as file:
            file.write_text("")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("folder", "file.txt")]
    assert modes == [0o750, 0o640]


def test_a_failed_block_leaves_what_was_there(tmp_path):
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("old")
    for _ in range(2):
        with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder") as folder:
            (folder / "a").write_text("new")
            raise RuntimeError
    assert (tmp_path / "folder/a").read_text() == "old" and temporaries(tmp_path) == []


def test_many_processes_write_and_clean_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ilrm.system import leftovers, files\n"
        "for i in range(150):\n"
        "    leftovers._cleaned.clear()\n"
        "    files.write_json(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}.json', i)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)
    ]
    deadline = time.monotonic() + 120
    assert all(p.wait(timeout=deadline - time.monotonic()) == 0 for p in processes)
    assert len(list(tmp_path.glob("*.json"))) == 450 and temporaries(tmp_path) == []
