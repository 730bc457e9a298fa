"""Progress: a time left that means something, and one line of it in an executed notebook."""

import io
import re

import pandas as pd
import pytest

from ilrm.presets import run_config
from ilrm.runs.records import RUNS
from ilrm.system.progress import EVIDENCE, Pace, progress_bar

THIRD = 1 / 3


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def left(line):
    """Seconds left that a bar shows, or None."""
    shown = re.search(r"<([\d:]+|\?)", line)[1]
    if shown == "?":
        return None
    seconds = 0
    for part in shown.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds


def shown_while(clock, durations):
    """(seconds so far, seconds left in truth, the bar's line) at every update of a bar."""
    file, found, seen = io.StringIO(), [], 0
    with progress_bar(total=len(durations), file=file) as bar:
        for i, seconds in enumerate(durations):
            clock.now += seconds
            bar.update()
            if len(file.getvalue()) > seen:
                line = file.getvalue()[seen:]
                found.append((sum(durations[: i + 1]), sum(durations[i + 1 :]), line))
                seen = len(file.getvalue())
    return found, file.getvalue()[seen:]


def test_no_time_is_shown_before_there_is_evidence_and_then_it_is_right(clock):
    """The first step compiles for 34 s; at that speed 3,000 steps take a day, not five minutes."""
    found, last = shown_while(clock, [34.0] + [0.1] * 2999)
    assert found and left(found[0][2]) is None
    estimates = [(at, true, left(line)) for at, true, line in found if left(line) is not None]
    assert estimates[0][0] < 60
    for at, true, estimate in estimates:
        assert abs(estimate - true) <= max(2, THIRD * true), at
    assert left(last) == 0 and "9.00step" not in last


def test_work_that_becomes_slower_is_followed(clock):
    found, _ = shown_while(clock, [0.05] * 1000 + [0.2] * 1000)
    after = [(true, left(line)) for at, true, line in found if at > 150 and true > 10]
    assert after and all(abs(estimate - true) <= THIRD * true for true, estimate in after)


def test_a_bar_that_ends_early_shows_its_mean_speed(clock):
    _, last = shown_while(clock, [0.5] * 4)
    assert "4/4 [00:02<00:00,  2.00it/s]" in last


def test_the_time_left_of_the_base_model_was_right_within_a_third_after_a_minute():
    """By its recorded learning curve, with the compilation at its beginning."""
    history = pd.read_csv(RUNS / run_config("tiny").name / "history.csv")
    steps, end = history.step.iloc[-1], history.seconds.iloc[-1]
    pace, checked = Pace(), 0
    for row in history.itertuples():
        pace.mark(row.seconds, row.step)
        true = end - row.seconds
        if row.seconds > 60 and true > 10:
            assert abs((steps - row.step) / pace.rate - true) <= THIRD * true, row.step
            checked += 1
    assert checked > 50


def test_a_pace_needs_evidence():
    pace = Pace()
    assert pace.rate == 0
    pace.mark(100, 1)
    pace.mark(100 + 0.9 * EVIDENCE, 2)
    assert pace.rate == 0
    pace.mark(100 + EVIDENCE, 6)
    assert pace.rate == pytest.approx(5 / EVIDENCE)


CELL = """
from ilrm.system.progress import progress_bar
for name in ("one", "two"):
    for _ in progress_bar(range(50), desc=name):
        pass
for _ in progress_bar(range(3), desc="hidden", leave=False):
    pass
print("printed")
"""


def test_an_executed_notebook_holds_the_last_state_of_every_bar_and_nothing_on_red():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell(CELL)]
    )
    nbclient.NotebookClient(notebook, timeout=120).execute()
    for cell in notebook.cells:
        streams = [o for o in cell.outputs if o.output_type == "stream"]
        assert {o.name for o in streams} == {"stdout"}
        (bars,) = [o.data["text/plain"] for o in cell.outputs if o.output_type == "display_data"]
        one, two = bars.split("\n")
        assert one.startswith("one: 100%") and two.startswith("two: 100%") and "50/50" in two
        assert "█" in one
