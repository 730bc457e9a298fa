import json
import os
from pathlib import Path

import pytest

from ilrm.data.frames.evaluation_indices import read_evaluation_index
from ilrm.errors import DataError, EmptyDatasetError


def written(tmp_path, value):
    path = tmp_path / "index.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_counts_are_printed(tmp_path, capsys):
    entry = {"context": [3, 20], "target": [5, 9]}
    index = read_evaluation_index(written(tmp_path, {"a": entry, "b": None}))
    assert (index.entries, index.null, len(index)) == (2, 1, 1)
    assert list(index) == [("a", [3, 20], [5, 9])]
    assert "2 entries, 1 null, 1 scenes evaluated" in capsys.readouterr().out


def test_targets_that_are_inputs_are_counted(tmp_path, capsys):
    entries = {"a": {"context": [3, 9], "target": [5]}, "b": {"context": [3, 9], "target": [9]}}
    read_evaluation_index(written(tmp_path, entries))
    assert "in 1 scenes a target view is also an input view" in capsys.readouterr().out


def test_more_views(tmp_path):
    path = written(tmp_path, {"a": {"context": [0, 30], "target": [10]}})
    ((_, context, target),) = read_evaluation_index(path, views=4)
    assert len(context) == 4
    assert not set(context) & set(target)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("{", DataError),
        ([1], DataError),
        ({"a": {"context": [1]}}, DataError),
        ({"a": {"context": [1, -2], "target": [0]}}, DataError),
        ({"a": {"context": [1, 2.5], "target": [0]}}, DataError),
        ({"a": 3}, DataError),
        ({"a": {"context": [5, 5], "target": [7]}}, DataError),
        ({"a": {"context": [5, 9], "target": [7, 7]}}, DataError),
        ({"a": None}, EmptyDatasetError),
        ({}, EmptyDatasetError),
    ],
)
def test_bad_indices(tmp_path, value, error):
    with pytest.raises(error, match=r"index\.json"):
        read_evaluation_index(written(tmp_path, value))


def test_missing_index(tmp_path):
    with pytest.raises(DataError, match="give the path of your copy"):
        read_evaluation_index(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder: give the path"):
        read_evaluation_index(tmp_path)


@pytest.mark.parametrize(
    ("name", "entries", "evaluated"), [("re10k", 7194, 6474), ("acid", 1848, 1595)]
)
def test_published_counts(name, entries, evaluated):
    root = os.environ.get("ILRM_PROTOCOLS")
    if not root:
        pytest.skip("ILRM_PROTOCOLS is not set to a folder with the published evaluation indices")
    index = read_evaluation_index(Path(root) / name / f"evaluation_index_{name}.json")
    assert (index.entries, len(index)) == (entries, evaluated)


def test_frame_numbers_beyond_reason_are_refused_before_memory_is_used(tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"a": {"context": [0, 1_000_000_000], "target": [1]}}))
    with pytest.raises(DataError, match="need non-empty frame lists"):
        read_evaluation_index(path, 3)
