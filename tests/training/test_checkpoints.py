"""Checkpoints: what a power failure leaves is passed over, and the run goes on from the one before."""

import json
import os
import shutil

import pytest
import torch
from torch import nn

from ilrm.errors import RunError
from ilrm.system import files
from ilrm.training import checkpoints
from ilrm.training.checkpoints import DIGESTS, PROGRESS, STATE, WEIGHTS, Progress


def trained(steps):
    """A model and an optimiser after so many steps."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(steps):
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    return model, [optimizer]


def save(folder, *steps):
    for step in steps:
        checkpoints.save(folder, Progress(step, [{"step": step}], 1.0), *trained(step))


def names(folder):
    return [int(path.name.removeprefix("checkpoint-")) for path in sorted(folder.iterdir())]


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path):
    """What some file systems leave of a file that was not synced: its size, without its bytes."""
    path.write_bytes(bytes(path.stat().st_size))


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [empty, cut, zeros, flip, os.unlink])
@pytest.mark.parametrize("name", [WEIGHTS, STATE, PROGRESS, DIGESTS])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, name, damage):
    save(tmp_path, 1, 2, 3)
    assert names(tmp_path) == [2, 3]
    damage(tmp_path / "checkpoint-00000003" / name)
    model, optimizers = trained(0)
    progress = checkpoints.load(tmp_path, model, optimizers)
    if name == DIGESTS and damage is os.unlink:  # as an earlier version wrote it
        assert progress.step == 3
        return
    assert progress == Progress(2, [{"step": 2}], 1.0)
    assert torch.equal(model.weight, trained(2)[0].weight)
    assert optimizers[0].state_dict()["state"][0]["step"] == 2
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and "checkpoint-00000003 is damaged" in printed


def test_without_any_checkpoint_that_can_be_read_the_model_is_as_it_was(tmp_path, capsys):
    assert checkpoints.load(tmp_path, *trained(0)) is None
    save(tmp_path, 1, 2)
    for path in tmp_path.glob(f"*/{STATE}"):
        empty(path)
    model, optimizers = trained(0)
    assert checkpoints.load(tmp_path, model, optimizers) is None
    assert torch.equal(model.weight, trained(0)[0].weight) and not optimizers[0].state
    assert capsys.readouterr().out.count("is damaged") == 2


def test_a_checkpoint_written_after_a_fall_back_replaces_the_damaged_ones(tmp_path):
    save(tmp_path, 10, 30)
    cut(tmp_path / "checkpoint-00000030" / WEIGHTS)
    save(tmp_path, 20)
    assert names(tmp_path) == [10, 20]


def test_the_one_before_is_there_until_the_next_is_on_the_disk(tmp_path, monkeypatch):
    """The order of what reaches the disk: every file, the folder, its new name; only then is one removed."""
    save(tmp_path, 1, 2)
    order = []
    to_disk, replace = files._to_disk, files.Path.replace
    monkeypatch.setattr(files, "_to_disk", lambda p: (order.append(("sync", p.name)), to_disk(p)))
    monkeypatch.setattr(
        files.Path, "replace", lambda p, to: (order.append(("rename", to.name)), replace(p, to))[1]
    )
    rmtree = shutil.rmtree
    monkeypatch.setattr(
        checkpoints.shutil, "rmtree",
        lambda p, **options: (p.exists() and order.append(("remove", p.name)), rmtree(p, **options)),
    )  # fmt: skip
    save(tmp_path, 3)
    renamed = order.index(("rename", "checkpoint-00000003"))
    assert {name for kind, name in order[:renamed]} >= {WEIGHTS, STATE, PROGRESS, DIGESTS}
    assert order[renamed + 1] == ("sync", tmp_path.name)
    assert order[-1] == ("remove", "checkpoint-00000001")


def test_a_checkpoint_of_another_model_is_one_line(tmp_path):
    save(tmp_path, 1)
    folder = tmp_path / "checkpoint-00000001"
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    with pytest.raises(RunError, match="does not fit the model: another version wrote it"):
        checkpoints.load(tmp_path, model, [torch.optim.AdamW(model.parameters())])
    assert json.loads((folder / PROGRESS).read_text())["step"] == 1
