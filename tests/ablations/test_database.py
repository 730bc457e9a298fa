"""A database that restarts: nothing is lost or runs twice, and what is not an outage is said at once."""

import threading
import time
from collections import Counter

import pytest

from ablations import database, runner, storage
from ablations import queue as queues
from ablations.queue import DONE, Queue
from ablations.runner import Plan, run
from ablations.storage import open_storage, quiet_optuna
from ablations.study import StudyError, read_study
from ablations.worker import work
from tests.ablations.processes import wait_for


class ThreadWorkers:
    """In place of worker processes: threads with a connection each."""

    def __init__(self, count, module_and_arguments, storage):
        (_, *self.names), self.address = module_and_arguments, storage
        self.count, self.alive = count, []
        self.errors: list[BaseException] = []

    def keep_going(self, waiting):
        assert not self.errors, self.errors
        self.alive = [thread for thread in self.alive if thread.is_alive()]
        for _ in range(min(self.count - len(self.alive), waiting)):
            self.alive.append(threading.Thread(target=self._work))
            self.alive[-1].start()

    def _work(self):
        try:
            opened = open_storage(self.address, patient=True)
            work([Queue.named(name, opened) for name in self.names])
        except BaseException as error:
            self.errors.append(error)

    def stop(self):
        for thread in self.alive:
            thread.join()


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("varies = 'layers'\nvalues = [1, 2, 3]")
    return read_study(path)


@pytest.mark.timeout(400)
def test_a_server_that_restarts_twice_in_a_study_of_six_cells_loses_nothing(
    server, study, tmp_path, monkeypatch, capfd, caplog
):
    quiet_optuna()  # as every command does
    done: set[str] = set()
    executed: Counter[str] = Counter()

    def run_cell(name, parameters):
        executed[name] += 1
        time.sleep(1.0)
        done.add(name)
        return 1.0

    monkeypatch.setattr(queues, "find_run", lambda config: config.name in done or None)
    monkeypatch.setattr(runner, "share_done", lambda config: float(config.name in done))
    monkeypatch.setattr(runner, "dataset_root", lambda data: None)
    monkeypatch.setattr(runner, "Workers", ThreadWorkers)
    monkeypatch.setattr(runner, "POLL", 0.2)
    monkeypatch.setattr(storage, "RUNS", tmp_path)
    monkeypatch.setattr(storage, "HEARTBEAT", 1)
    monkeypatch.setattr("ablations.worker.run_cell", run_cell)

    def restart_twice():
        for cells, mode in ((1, "fast"), (3, "immediate")):
            wait_for(lambda cells=cells: executed.total() >= cells)
            server.stop(mode)
            time.sleep(2)
            server.start()

    plan = Plan.make([study], "smoke", server.url, seeds=2)
    operator = threading.Thread(target=restart_twice)
    operator.start()
    assert run(plan, workers=2) == {}
    operator.join()
    assert executed == Counter(dict.fromkeys(plan.cells, 1)), "every cell has run, once"
    queue = Queue.open(study, "smoke", open_storage(server.url))
    assert set(queue.states(plan.cells.values()).values()) == {DONE}
    printed = capfd.readouterr().err
    assert "does not answer: waiting for it" in printed and "answers again" in printed
    assert "Traceback" not in printed
    # which a command would print, with their stacks
    assert not [record for record in caplog.records if record.name.startswith("sqlalchemy")]


def test_hosts_that_meet_at_an_empty_database_both_open_it(server, study):
    """Started at the same moment, as by one line of a cluster's scheduler."""
    together, errors = threading.Barrier(6), []

    def host():
        together.wait()
        try:
            Queue.open(study, "smoke", open_storage(server.url)).add(study.cells("smoke", 1))
        except BaseException as error:
            errors.append(error)

    hosts = [threading.Thread(target=host) for _ in range(6)]
    for thread in hosts:
        thread.start()
    for thread in hosts:
        thread.join()
    assert errors == []


def test_a_server_that_stays_away_is_one_line_that_the_same_command_goes_on(
    server, study, monkeypatch
):
    queue = Queue.open(study, "smoke", open_storage(server.url))
    monkeypatch.setattr(database, "PATIENCE", 1.0)
    server.stop("fast")
    with pytest.raises(
        StudyError, match="has not answered .* give the same command again"
    ) as caught:
        queue.waiting()
    assert "\n" not in str(caught.value)


def test_status_of_a_new_database_makes_no_tables(server, study):
    plan = Plan.make([study], "smoke", server.url, create=False)
    assert plan.counts() == {queues.NEW: 9}
    assert type(open_storage(server.url, create=False)).__name__ == "InMemoryStorage"
    Queue.open(study, "smoke", open_storage(server.url)).add(list(plan.cells.values()))
    plan = Plan.make([study], "smoke", server.url, create=False)
    assert plan.counts() == {queues.WAITING: 9}


def test_what_is_not_an_outage_is_not_waited_for(server, study, monkeypatch):
    monkeypatch.setattr(database, "PAUSE", 60.0)
    wrong = server.url.replace("/postgres", "/nobody")
    with pytest.raises(StudyError, match='cannot be opened .*database "nobody" does not exist'):
        open_storage(wrong, patient=True)
