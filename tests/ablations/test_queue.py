"""The queue: every cell runs once, whoever runs it and whatever dies."""

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import optuna
import pytest

from ablations import queue as queues
from ablations.queue import (
    DONE,
    ELSEWHERE,
    FAILED,
    NEW,
    REMOVED,
    RUN,
    RUNNING,
    WAITING,
    Queue,
)
from ablations.storage import (
    SEVERAL_HOSTS,
    WORKER,
    StudyError,
    is_alive,
    is_held,
    open_storage,
    recover,
    sign_of_life,
)
from ablations.study import read_study
from ablations.worker import _objective


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Names of complete runs, in place of a run store, and a journal beside it."""
    done: set[str] = set()
    monkeypatch.setattr(queues, "find_run", lambda config: config.name in done or None)
    monkeypatch.setattr("ablations.storage.RUNS", tmp_path)
    return done


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("varies = 'layers'\nvalues = [1, 2, 3, 4]")
    return read_study(path)


@pytest.fixture
def queue(store, study, tmp_path):
    return Queue.open(study, "smoke", open_storage(str(tmp_path / "journal")))


def work_off(queue, run, name="here/none"):
    while queue.waiting():
        queue.trials.optimize(_objective(queue, name), n_trials=1, catch=(Exception,))


def test_four_workers_run_every_cell_once(store, study, tmp_path, monkeypatch):
    executed: Counter[str] = Counter()

    def run_cell(name, parameters):
        executed[name] += 1
        store.add(name)
        return 1.0

    monkeypatch.setattr("ablations.worker.run_cell", run_cell)
    cells = study.cells("smoke", 3)
    Queue.open(study, "smoke", open_storage(str(tmp_path / "journal"))).add(cells)

    def worker():
        queue = Queue.open(study, "smoke", open_storage(str(tmp_path / "journal")))
        with sign_of_life() as name:
            work_off(queue, run_cell, name)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(executed) == {cell.run_name for cell in cells} and set(executed.values()) == {1}
    queue = Queue.open(study, "smoke", open_storage(str(tmp_path / "journal")))
    assert set(queue.states(cells).values()) == {DONE}
    assert queue.add(cells) == 0


def test_what_is_done_or_enqueued_is_not_enqueued_again(queue, store, study):
    cells = study.cells("smoke", 1)
    store.add(cells[0].run_name)
    assert queue.add(cells) == 3
    assert queue.add(cells) == 0
    states = queue.states(study.cells("smoke", 2))
    assert list(states.values()) == [DONE] + 3 * [WAITING] + 4 * [NEW]


def test_failed_cells_say_why_and_run_again_on_request(queue, study, monkeypatch):
    def fail(name, parameters):
        raise RuntimeError("long traceback\nthe reason")

    monkeypatch.setattr("ablations.worker.run_cell", fail)
    cells = study.cells("smoke", 1)
    queue.add(cells)
    work_off(queue, fail)
    assert set(queue.states(cells).values()) == {FAILED}
    assert queue.failures(cells) == {cell.run_name: "the reason" for cell in cells}
    assert queue.add(cells) == 0
    assert queue.add(cells, retry_failed=True) == 4
    assert not queue.failures(cells)


def test_a_dead_workers_cell_waits_again_and_a_living_ones_does_not(queue, study):
    cells = study.cells("smoke", 1)
    queue.add(cells)
    with sign_of_life() as alive:
        for name in (alive, alive.rpartition("/")[0] + "/dead"):
            queue.trials.ask().set_user_attr(WORKER, name)
        assert Counter(queue.states(cells).values()) == {RUNNING: 2, WAITING: 2}
        recover(queue.trials)
        recover(queue.trials)
        assert Counter(queue.states(cells).values()) == {RUNNING: 1, WAITING: 3}
    assert not is_alive(queue.trials, alive)
    queue.recover()
    assert set(queue.states(cells).values()) == {WAITING}


def test_a_cell_whose_worker_always_dies_is_given_up(queue, study):
    cells = study.cells("smoke", 1)[:1]
    queue.add(cells)
    tries = 0
    while queue.waiting():
        queue.trials.ask().set_user_attr(WORKER, _dead())
        queue.recover()
        tries += 1
    assert tries == 6 and queue.failures(cells) == {cells[0].run_name: "its worker died"}


def _dead() -> str:
    with sign_of_life() as name:
        return name


def test_a_claim_that_comes_too_late_is_dropped(queue, study, monkeypatch):
    """Two hosts that enqueue the same cell at the same moment, and a queue emptied between look and claim."""
    monkeypatch.setattr("ablations.worker.run_cell", lambda *_: pytest.fail("ran twice"))
    cells = study.cells("smoke", 1)[:1]
    queue.add(cells)
    with sign_of_life() as name:
        queue.trials.ask().set_user_attr(WORKER, name)
        queue.trials.enqueue_trial(
            {RUN: cells[0].run_name}, user_attrs={RUN: cells[0].run_name, "parameters": {}}
        )
        for _ in range(2):
            queue.trials.optimize(_objective(queue, name), n_trials=1, catch=(Exception,))
        states = [trial.state for trial in queue.trials.trials]
        assert states == [optuna.trial.TrialState.RUNNING] + 2 * [optuna.trial.TrialState.PRUNED]
        assert queue.states(cells) == {cells[0].run_name: RUNNING}


def test_a_worker_that_dies_while_it_claims_is_noticed_after_a_minute(queue, study, monkeypatch):
    cells = study.cells("smoke", 1)[:1]
    queue.add(cells)
    queue.trials.ask()
    queue.recover()
    assert queue.states(cells) == {cells[0].run_name: RUNNING}
    monkeypatch.setattr("ablations.storage.CLAIMING", 0)
    queue.recover()
    assert queue.states(cells) == {cells[0].run_name: WAITING}


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_claim_by_a_host_whose_clock_is_minutes_off_is_left_to_it(queue, study, minutes):
    """Its worker has not stored its name yet, and its start is by its own clock."""
    queue.add(study.cells("smoke", 1)[:1])
    queue.trials.ask()
    (trial,) = queue.trials.trials
    trial.datetime_start += timedelta(minutes=minutes)
    assert is_held(queue.trials, trial)


def test_what_another_queue_of_the_runner_holds_is_left_to_it(queue, study):
    cells = study.cells("smoke", 1)
    assert queue.add(cells, held={cells[0].run_name}) == 3
    assert queue.states(cells[:1]) == {cells[0].run_name: NEW}


def test_only_planned_cells_are_run(queue, study, monkeypatch):
    """Of a study that was changed, or asked for with fewer seeds, the old cells do not run."""
    executed = []
    monkeypatch.setattr("ablations.worker.run_cell", lambda name, _: executed.append(name) or 1.0)
    old, new = study.cells("smoke", [0]), study.cells("smoke", [1])
    queue.add(old)
    queue.add(new)
    work_off(queue, None)
    assert executed == [cell.run_name for cell in new]
    assert set(queue.states(old).values()) == {NEW}


def test_another_runners_plan_stays_while_it_runs(queue, study):
    old, new = study.cells("smoke", [0]), study.cells("smoke", [1])
    queue.add(old)
    with sign_of_life() as name:
        queue.trials.ask().set_user_attr(WORKER, name)
        queue.add(new)
    assert all(queue.planned(trial) for trial in queue.trials.trials)


def test_another_hosts_result_counts(queue, study):
    queue.trials.set_user_attr(SEVERAL_HOSTS, True)  # as in a database
    cells = study.cells("smoke", 1)[:1]
    queue.add(cells)
    trial = queue.trials.ask()
    trial.set_user_attr("host", "elsewhere")
    queue.trials.tell(trial, 20.0)
    assert queue.states(cells) == {cells[0].run_name: ELSEWHERE}
    assert queue.add(cells) == 0
    queue.trials.set_user_attr(SEVERAL_HOSTS, False)  # a journal is one host's, whatever its name
    assert queue.states(cells) == {cells[0].run_name: REMOVED}
    assert queue.add(cells) == 1


def test_a_journal_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "damaged").write_text("no journal\n{")
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path, "cannot be opened"),
        (tmp_path / "file" / "below", "cannot be opened"),
        (tmp_path / "damaged", "not a journal or is damaged"),
    ):
        with pytest.raises(StudyError, match=words) as caught:
            open_storage(str(path))
        assert str(path) in str(caught.value)


def test_a_database_that_cannot_be_reached_is_one_line_without_the_password():
    with pytest.raises(StudyError, match="cannot be opened") as caught:
        open_storage("postgresql://me:secret@localhost:1/none")
    assert "secret" not in str(caught.value) and "localhost:1/none" in str(caught.value)


@pytest.mark.parametrize("text", ["garbage\n", "[1, 2]\n", "garbage", "[" * 3000 + "\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(StudyError, match="is not a journal or is damaged"):
        open_storage(str(path))
    assert path.read_text() == text


def test_a_folder_that_is_missing_is_a_mistake(tmp_path):
    with pytest.raises(StudyError, match="cannot be opened"):
        open_storage(str(tmp_path / "mistyped" / "journal"))
    assert not (tmp_path / "mistyped").exists()


def test_a_journal_that_was_cut_short_is_used_up_to_its_last_whole_line(tmp_path, capsys):
    """At any place: what is whole is kept, the rest is set aside, and what is added later is not lost."""
    whole = tmp_path / "whole.journal"
    trials = optuna.create_study(study_name="a", storage=open_storage(str(whole)))
    for number in range(3):
        trials.enqueue_trial({"x": number})
    content = whole.read_bytes()
    for size in range(1, len(content), max(1, len(content) // 25)):
        path = tmp_path / f"{size}.journal"
        path.write_bytes(content[:size])
        cut = not content[:size].endswith(b"\n")
        storage = open_storage(str(path))
        assert ("was cut short" in capsys.readouterr().err) == cut
        kept = path.read_bytes()
        assert content.startswith(kept) and (not kept or kept.endswith(b"\n"))
        aside = Path(f"{path}.tail").read_bytes()[:-1] if cut else b""
        assert kept + aside == content[:size]
        again = optuna.create_study(study_name="b", storage=storage)
        again.enqueue_trial({"x": 7})
        names = [study.study_name for study in open_storage(str(path)).get_all_studies()]
        assert "b" in names and not capsys.readouterr().err
    other = tmp_path / "notes.txt"
    other.write_text("no journal, and no newline")
    with pytest.raises(StudyError, match="is not a journal"):
        open_storage(str(other))
    assert other.read_text() == "no journal, and no newline"
