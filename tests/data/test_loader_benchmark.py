"""The benchmark of the loader: a row a way of reading, with rates that fit each other."""

import runpy
import sys

from ilrm.data.batches import dataset_root
from ilrm.system.paths import PROJECT


def test_a_row_for_every_number_of_workers_and_one_from_memory(smoke_run, monkeypatch, capsys):
    root = str(dataset_root(smoke_run.config.data))
    options = "--size 32x32 --views 2 --targets 2 --batch 2 --workers 0 1 --steps 1 --rounds 2"
    monkeypatch.setattr(sys, "argv", ["loader.py", root, *options.split()])
    runpy.run_path(str(PROJECT / "benchmarks/loader.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == [
        "on demand, 0 workers",
        "on demand, 1 workers",
        "from memory",
    ]
    for _, samples, images in rows:
        assert float(samples) > 0 and abs(float(images) - 4 * float(samples)) < 1
