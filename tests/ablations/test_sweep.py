"""Sweeps: the search space as data, trials through the run store, pruning, importances."""

import optuna
import pandas as pd
import pytest

from ablations.sweep import (
    FAILURES,
    SWEEPS,
    StudyError,
    _raise_if_always_fails,
    find_sweep,
    importances,
    main,
    open_sweep,
    results,
    run,
    study_of,
    trials_file,
    work,
)
from ilrm.errors import IlrmError, WeightsError
from ilrm.presets import run_config

SPACE = """
title = "small"
{objectives}
[fields]
steps = 4
[space]
lr = {{ low = 1e-4, high = 1e-2, log = true }}
layers = {{ low = 1, high = 2 }}
heads = {{ choices = [4, 5] }}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    for module in ("ablations.storage.RUNS",):
        monkeypatch.setattr(module, tmp_path)

    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.toml")), ids=lambda path: path.stem)
def test_committed_sweeps_can_be_run(path):
    sweep = find_sweep(path.stem)
    assert run_config("tiny", **sweep.fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[space]\nlr = {low = 1}", "lr needs low and high, or choices"),
        ("[space]\nlearning_rate = {low = 1, high = 2}", "unknown parameter 'learning_rate'"),
        ("[space]\nlr = {lo = 1, high = 2}", "unknown parameter 'lo'"),
        ("[space]\nlr = 3", "the space of lr is 3: give a table"),
        ("space = 3", "space is 3: give a table"),
        ("title = 3\n[space]\nlr = {low = 1, high = 2}", "title is 3: give text"),
        ("objectives = 'psnr'\n[space]\nlr = {low = 1, high = 2}", "objectives is 'psnr': give a"),
        (
            "objectives = ['psnr', 'psnr']\n[space]\nlr = {low = 1, high = 2}",
            "an objective is named twice",
        ),
        ("[fields]\nlr = 1\n[space]\nlr = {low = 1, high = 2}", "lr is in fields and in space"),
        ("[fields]\nlayers = nan\n[space]\nlr = {low = 1, high = 2}", "own.toml: layers=nan"),
        ("[fields]\nroot = 2024-01-01\n[space]\nlr = {low = 1, high = 2}", "own.toml: root="),
        ("[space]\nlr = {low = 0.1, high = 1, step = 1e-300}", "does not describe a sweep"),
        ("[space]\nlr = {low = 0.1, high = 1, step = 'x'}", "step of lr is 'x'"),
        ("[space]\nlr = {low = 0.1, high = 1, log = 'yes'}", "log of lr is 'yes', neither"),
        ("[space]\nlayers = {choices = [3, 6], low = 3}", "layers needs low and high, or choices"),
        ("[space]\ncontext_range = {choices = [[2, 4]]}", "pairs cannot be searched"),
        ("title = 'x'", "has no .space."),
        ("objectives = ['speed']\n[space]\nlr = {low = 1, high = 2}", "unknown parameter 'speed'"),
        ("[space", "is not valid TOML"),
        ("[space]\nlr = {low = 2, high = 1}", "does not describe a sweep"),
        ("[space]\nlr = {choices = 3}", "choices of lr is 3: give a list"),
        ("[space]\nlr = {low = 'a', high = 2}", "does not describe a sweep"),
        ("fields = 3\n[space]\nlr = {low = 1, high = 2}", "fields is 3: give a table"),
        ("objectives = []\n[space]\nlr = {low = 1, high = 2}", "has no objectives"),
        ("[space]\nlr = {low = 1e-4, high = inf}", "own.toml: lr=inf: give a number"),
        ("[space]\nlr = {low = nan, high = 1}", "own.toml: lr=nan: give a number"),
        ("[space]\nlr = {low = -1, high = 1}", "own.toml: lr=-1.0: give a number above 0"),
        ("[space]\nlr = {low = 0.1, high = 1, step = nan}", "step of lr is nan"),
        ("[space]\nlayers = {choices = [3, 'six']}", "own.toml: layers='six'"),
        (
            "[space]\nseed = {low = 0, high = " + "9" * 24 + "}",
            "own.toml: seed=9+: give an integer",
        ),
        ("[space]\nlayers = {low = 1, high = " + "9" * 5000 + "}", "is not valid TOML"),
        ("[space]\nlayers = {low = true, high = 3}", "does not describe a sweep"),
        ("[fields]\nstep = 3\n[space]\nlr = {low = 1, high = 2}", "did you mean 'steps'"),
    ],
)
def test_a_bad_file_is_one_line(write, text, words):
    with pytest.raises(IlrmError, match=words):
        find_sweep(str(write(text)))
    with pytest.raises(StudyError, match="missing"):
        find_sweep("none")


def test_a_sweep_whose_trials_all_fail_stops_and_says_why(write, tmp_path, monkeypatch):
    sweep = find_sweep(str(write(SPACE.format(objectives="").replace("[4, 5]", "[4]"))))

    def fail(*_, **__):
        raise WeightsError("ImageNet weights not found")

    monkeypatch.setattr("ablations.sweep.perform_run", fail)
    study = open_sweep(sweep, "smoke", str(tmp_path / "journal"))
    work(sweep, "smoke", study, trials=20, store=tmp_path)
    assert len(study.trials) == FAILURES
    with pytest.raises(StudyError, match="consecutive trials failed: ImageNet weights"):
        _raise_if_always_fails(study, 0)
    _raise_if_always_fails(study, len(study.trials))  # started again, it tries anew


def test_another_sweep_of_the_same_name_is_refused(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(SPACE.format(objectives=""))
    with pytest.raises(StudyError, match="another sweep is named recipe"):
        find_sweep(str(path))


@pytest.mark.parametrize("objectives", ["", "objectives = ['psnr', 'gmacs']"])
def test_trials_are_runs(write, tmp_path, objectives):
    sweep = find_sweep(str(write(SPACE.format(objectives=objectives))))
    study = open_sweep(sweep, "smoke", str(tmp_path / "journal"))
    for heads in (4, 5):  # of each at least one, whatever is drawn after them
        study.enqueue_trial({"lr": 1e-3, "layers": 1, "heads": heads})
    work(sweep, "smoke", study, trials=5, store=tmp_path)
    work(sweep, "smoke", study, trials=5, store=tmp_path)  # nothing left to do
    table = results(study, sweep)
    assert len(table) == 5 and set(table.state) <= {"complete", "pruned"}
    complete = table[table.state == "complete"]
    assert len(complete) and set(table.state) == {"complete", "pruned"}
    assert (complete.heads == 4).all()  # 64 is no multiple of 5: pruned, nothing crashed
    assert all((tmp_path / name / "metrics.json").exists() for name in complete.run)
    assert complete.psnr.is_monotonic_decreasing
    if objectives:
        assert (complete.gmacs > 0).all() and study.best_trials
    shares = importances(study)
    assert not shares or abs(sum(shares.values()) - 1) < 1e-6


def test_recorded_trials_give_the_same_importances_and_front(write, tmp_path):
    sweep = find_sweep(str(write(SPACE.format(objectives="objectives = ['psnr', 'gmacs']"))))
    study = optuna.create_study(directions=["maximize", "minimize"])
    for seed, trial in enumerate(study.ask(sweep.distributions()) for _ in range(12)):
        study.tell(trial, (trial.params["lr"] * 1e3 + seed % 3, 1.0 + seed % 4))
    path = tmp_path / "trials.csv"
    results(study, sweep).to_csv(path, index=False)
    again = study_of(sweep, pd.read_csv(path))
    assert [t.number for t in again.best_trials] == [t.number for t in study.best_trials]
    for k in range(2):
        assert importances(again, k) == pytest.approx(importances(study, k))


def test_an_edited_sweep_and_another_of_its_name_are_searches_of_their_own(write, tmp_path):
    text = SPACE.format(objectives="")
    journal = str(tmp_path / "journal")
    first = find_sweep(str(write(text)))
    study = open_sweep(first, "smoke", journal)
    study.enqueue_trial({"lr": 1e-3, "layers": 1, "heads": 4})
    for edited in (
        SPACE.format(objectives="objectives = ['psnr', 'gmacs']"),
        text.replace("steps = 4", "steps = 8"),
        text.replace("[4, 5]", "[4, 5, 8]"),
        text.replace("high = 1e-2", "high = 1e-3"),
    ):
        other = find_sweep(str(write(edited)))
        assert other.name == first.name and trials_file(other, "smoke") != trials_file(
            first, "smoke"
        )
        assert not open_sweep(other, "smoke", journal).trials, edited
    renamed = find_sweep(str(write(text.replace("small", "another title"))))
    assert len(open_sweep(renamed, "smoke", journal).trials) == 1


def test_workers_search_what_the_runner_has_read(write, tmp_path, monkeypatch):
    """The definition itself is handed over: the file may be edited, moved or lie in another folder."""
    path = write(SPACE.format(objectives=""))
    sweep = find_sweep(str(path))
    started = []

    class Workers:
        def __init__(self, count, command, storage):
            started.append((*command, storage))

        def keep_going(self, waiting):
            raise StudyError("seen")

        def stop(self):
            pass

    monkeypatch.setattr("ablations.sweep.Workers", Workers)
    monkeypatch.setattr("ablations.sweep.dataset_root", lambda data: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="seen"):
        run(sweep, "smoke", "queue.journal", 3, 1)
    path.unlink()
    _, definition, scale, trials, storage = started[0]
    assert storage == str(tmp_path / "queue.journal")
    searched = []
    monkeypatch.setattr("ablations.sweep.work", lambda *arguments: searched.append(arguments))
    monkeypatch.setenv("ILRM_STORAGE", storage)
    main(definition, scale, trials, "1")
    assert (
        searched[0][0] == sweep
        and searched[0][2].study_name == f"sweep-{sweep.study_name('smoke')}"
    )
