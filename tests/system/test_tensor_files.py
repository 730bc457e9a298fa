"""Torch files of strangers: plain tensors are read, everything else is one line."""

import pickle

import pytest
import torch

from ilrm.errors import WeightsError
from ilrm.system.tensor_files import read_tensors


class Code:
    """Would run a command when it is unpickled."""

    def __reduce__(self):
        return (print, ("this must not run",))


def nested(depth):
    value = torch.ones(1)
    for _ in range(depth):
        value = [value]
    return value


def test_plain_tensors_are_read(tmp_path):
    torch.save(
        {"a": torch.arange(3.0), "b": [{"c": torch.ones(2, dtype=torch.uint8)}, "text"]},
        tmp_path / "a",
    )
    assert read_tensors(tmp_path / "a")["a"].tolist() == [0, 1, 2]


REFUSED = {
    "code": (Code(), "contains pickled code or objects other than tensors"),
    "sparse": (torch.eye(3).to_sparse(), "not dense and real"),
    "complex": (torch.ones(2, dtype=torch.complex64), "not dense and real"),
    "quantised": (
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        "not dense and real",
    ),
    "without values": (torch.ones(2, device="meta"), "not dense and real"),
    "larger than stored": (
        torch.ones(1).expand(10**9),
        r"of shape \[1000000000\] with fewer values",
    ),
    "nested": (nested(50), "nested too deeply"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused(case, tmp_path, capsys):
    value, message = REFUSED[case]
    torch.save({"x": value}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message) as caught:
        read_tensors(tmp_path / "a.pt", WeightsError)
    assert "\n" not in str(caught.value) and capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4" + bytes(99), pickle.dumps(Code())])
def test_files_that_are_not_torch_s(content, tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pt (is|contains) "):
        read_tensors(tmp_path / "a.pt", WeightsError)
    assert capsys.readouterr().out == ""
