"""The command lines: evaluation of a run on other scenes, training by fields, errors in one line."""

import os
from pathlib import Path

import pandas as pd
import pytest

from ilrm import evaluate, train
from ilrm.data.scenes import dataset_root


def test_evaluate_reproduces_the_runs_own_metrics_on_its_own_scenes(smoke_run, tmp_path, capsys):
    root, out = dataset_root(smoke_run.config.data), tmp_path / "per_view.csv"
    index = root / "evaluation_index_4v.json"
    arguments = ["--weights", smoke_run.folder, "--data", root, "--index", index, "--out", out]
    assert evaluate.main([str(a) for a in arguments]) == 0
    printed = capsys.readouterr().out
    assert "2 entries, 0 null, 2 scenes evaluated" in printed and "nearest_view: psnr" in printed
    keys = ["scene", "frame", "method"]
    ours, stored = (t.set_index(keys).sort_index() for t in (pd.read_csv(out), smoke_run.per_view))
    pd.testing.assert_frame_equal(ours, stored, atol=1e-4)


def test_evaluate_with_more_views_than_the_index_gives(smoke_run, capsys):
    root = dataset_root(smoke_run.config.data)
    index = root / "evaluation_index_2v.json"
    arguments = ["--weights", smoke_run.folder, "--data", root, "--index", index, "--views", "6"]
    assert evaluate.main([str(a) for a in (*arguments, "--scenes", "1")]) == 0
    assert "1 scenes evaluated" in capsys.readouterr().out


def test_what_cannot_be_evaluated_is_one_line(smoke_run, tmp_path, capsys):
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    root = dataset_root(smoke_run.config.data)
    for run, data, index in (
        (tmp_path, root, empty),
        (smoke_run.folder, tmp_path, root / "evaluation_index_4v.json"),
        (smoke_run.folder, root, empty),
        (smoke_run.folder, root, tmp_path / "missing.json"),
    ):
        arguments = ["--weights", str(run), "--data", str(data), "--index", str(index)]
        assert evaluate.main(arguments) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")


def test_train_by_fields(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ilrm.runs.RUNS", tmp_path)
    assert train.main(["--scale", "smoke", "layer=2"]) == 2
    assert "did you mean 'layers'" in capsys.readouterr().err
    assert train.main(["--scale", "smoke", "layers"]) == 2
    assert "name=value" in capsys.readouterr().err


@pytest.mark.skipif("ILRM_RE10K_CLIPS" not in os.environ, reason="ILRM_RE10K_CLIPS names no clips")
def test_real_clips_are_evaluated(smoke_run, capsys):
    clips = Path(os.environ["ILRM_RE10K_CLIPS"])
    arguments = ["--weights", smoke_run.folder, "--data", clips, "--index", clips / "mini_eval_4v.json"]
    assert evaluate.main([str(a) for a in arguments]) == 0
    assert "6 scenes evaluated" in capsys.readouterr().out
