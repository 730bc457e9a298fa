"""What views beyond the trained number cost, measured from a trained run and shown from records."""

from dataclasses import replace

import pandas as pd
import pytest

from ilrm.data.batches import held_out_scenes
from ilrm.errors import RunError
from ilrm.evaluation.scoring import evaluate
from ilrm.evaluation.unseen_views import ALL, SOME, THINNED
from reports import unseen_views
from reports.unseen_views import CONTROL, TRAINED, measure, unseen_views_table


def test_the_columns_are_those_of_an_evaluation(smoke_run):
    data = smoke_run.config.data
    more = replace(data, context_views=data.context_views + 1)
    rows = measure(smoke_run, more)
    for column, config in ((TRAINED, data), (ALL, more)):
        per_view = evaluate(smoke_run.model(), held_out_scenes(config)).per_view
        expected = per_view.groupby("scene").psnr.mean()
        assert rows.set_index("scene")[column].to_numpy() == pytest.approx(expected, abs=1e-3)
    assert (rows[SOME] != rows[ALL]).all() and (rows[CONTROL] != rows[TRAINED]).all()


def test_the_table_shows_differences_from_the_trained_number(tmp_path, monkeypatch):
    rows = [
        {"views": 10, "seed": seed, "scene": f"s{i}", TRAINED: 20.0, ALL: 19.0 + 0.01 * i, SOME: 20.5,
         THINNED: 21.0, CONTROL: 18.0}
        for seed in range(3) for i in range(12)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "tiny.csv", index=False)
    monkeypatch.setattr(unseen_views, "UNSEEN_VIEWS", tmp_path)
    (row,) = unseen_views_table("tiny").to_dict("records")
    assert row["views"] == "10"
    assert row[f"{ALL} (dB)"].startswith("-0.9")
    assert row[f"{SOME} (dB)"].startswith("+0.50")
    assert row[f"{THINNED} (dB)"].startswith("+1.00")
    assert row[f"{CONTROL} (dB)"].startswith("-2.00") and row["seeds x scenes"] == "3 x 12"
    assert unseen_views_table("small") is None


def test_a_store_without_the_models_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(unseen_views, "RUNS", tmp_path)
    with pytest.raises(
        RunError, match="run `python -m ablations run unseen_views --scale smoke` first"
    ):
        list(unseen_views._trained("smoke"))
