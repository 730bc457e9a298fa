"""A short round of `python -m tests.fuzz`: whatever is in a file, only an IlrmError of one line comes out."""

import pytest

from tests.fuzz.harness import fuzz
from tests.fuzz.targets import TARGETS, Target

INPUTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_only_errors_of_this_project_come_out(name):
    result = fuzz(TARGETS[name], INPUTS, seed=0)
    assert not result.foreign and result.inputs >= INPUTS
    assert result.refused > INPUTS / 20  # the mutations reach the reader


def test_a_foreign_exception_is_found_and_shrunk():
    def build(folder):
        (folder / "a").write_bytes(b"1 2 3")
        return [folder / "a"]

    def read(folder):
        sum(int(word) for word in (folder / "a").read_bytes().split())

    result = fuzz(Target("a faulty reader", build, read), 200, seed=0)
    assert result.foreign and "ValueError" in result.foreign[0]
