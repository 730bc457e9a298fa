"""Worker processes: replaced when they die; what no replacement would change ends the run with its line."""

import time

import pytest

from ablations import workers
from ablations.arguments import without_password
from ablations.database import reason
from ablations.study import StudyError
from ablations.workers import Workers
from tests.ablations.processes import wait_for

MODULE = "a_worker"


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Make workers of a module with this source, which lies in the working folder."""
    made: list[Workers] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "RUNS", tmp_path / "runs")

    def pool(source, count=1):
        (tmp_path / f"{MODULE}.py").write_text(source)
        made.append(Workers(count, [MODULE, "argument"]))
        return made[-1]

    yield pool
    for one in made:
        one.stop()


def keep_going(pool, waiting=3):
    """Poll until the workers end the run."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pool.keep_going(waiting)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("from ablations.study import StudyError\nraise StudyError('3 is wrong')", "error: 3 is wrong"),
        ("import a_missing_module", "ModuleNotFoundError: No module named 'a_missing_module'"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_error_twice_ends_the_run_with_its_line(pool, source, line, count):
    made = pool(source, count)
    with pytest.raises(StudyError, match="two workers ended with the same error") as caught:
        keep_going(made)
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert made.deaths == 2 and "Traceback" in made.log.read_text()


def test_workers_that_end_at_once_while_work_waits_end_the_run(pool):
    made = pool("print('nothing to do')")
    with pytest.raises(
        StudyError, match="3 workers ended at once although 3 cells wait: see .*log"
    ):
        keep_going(made)
    assert made.started == workers.FRUITLESS


def test_workers_that_get_work_done_may_end_as_often_as_they_like(pool):
    made = pool("")
    for waiting in range(9, 0, -1):
        made.keep_going(waiting)
        wait_for(lambda: all(process.poll() == 0 for process in made.alive))
    assert made.started >= 9 and not made.deaths


def test_a_killed_worker_is_replaced_until_too_many_were(pool, monkeypatch):
    monkeypatch.setattr(workers, "DEATHS", 4)
    made = pool("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(StudyError, match="5 workers died"):
        keep_going(made)


def test_workers_share_the_working_folder_and_the_run_store(pool, tmp_path):
    made = pool("import os, pathlib\npathlib.Path('seen').write_text(os.getcwd())")
    made.keep_going(1)
    wait_for(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text())
    assert (tmp_path / "seen").read_text() == str(tmp_path)


def test_the_storage_is_not_on_the_command_line(tmp_path, monkeypatch):
    """Every user of a machine can read command lines, and the address may hold a password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "RUNS", tmp_path / "runs")
    (tmp_path / f"{MODULE}.py").write_text(
        "import os, pathlib; pathlib.Path('told').write_text(os.environ['ILRM_STORAGE'])"
    )
    url = "postgresql://me:S3C@RET@host/name"
    pool = Workers(1, [MODULE], url)
    pool.keep_going(1)
    (process,) = pool.alive
    assert "S3C" not in " ".join(map(str, process.args)) and process.wait(60) == 0
    assert (tmp_path / "told").read_text() == url
    pool.stop()


@pytest.mark.parametrize("secret", ["plain", "S3C@RET", "a:b", "p%40ss"])
def test_no_message_shows_a_password(secret):
    url = f"postgresql://me:{secret}@host/name"
    assert without_password(url) == "postgresql://host/name"
    assert without_password("runs/ablations.journal") == "runs/ablations.journal"
    said = reason(RuntimeError(f"cannot connect to {url}\nmore"), url)
    assert secret not in said and said.startswith("cannot connect") and "more" not in said
