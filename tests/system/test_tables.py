"""Tables: keys stay text, other columns are numbers, and a damaged file is one line."""

import numpy as np
import pandas as pd
import pytest

from ilrm.errors import RunError
from ilrm.system.tables import KEYS, read_table

STRANGE = [
    "NA", "000001", "1e5", "nan", "None", "null", "1.0", "True", "-inf", "0x10",
    " a ", "a,b", "a\nb", "N/A", '"', "#",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_text_whatever_they_look_like(tmp_path, key):
    table = pd.DataFrame(
        {key: STRANGE, "psnr": np.linspace(0, 1, len(STRANGE)), "n": range(len(STRANGE))}
    )
    table.loc[1, "psnr"] = np.nan
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    again = read_table(path)
    assert list(again[key]) == STRANGE
    assert again.psnr.dtype == float and np.isnan(again.psnr[1]) and again.n.dtype == int
    again.to_csv(tmp_path / "again.csv", index=False)
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_further_keys_can_be_named(tmp_path):
    (tmp_path / "t.csv").write_text("table,value\n01,02\n")
    assert list(read_table(tmp_path / "t.csv", "table").table) == ["01"]
    assert list(read_table(tmp_path / "t.csv").value) == [2]


@pytest.mark.parametrize(
    "damaged", [b"", b"scene,psnr\n\xe4,1\n", b'a,b\n"1,2', b"psnr\n" + b"9" * 400]
)
def test_a_damaged_table_is_one_line(tmp_path, damaged):
    path = tmp_path / "t.csv"
    path.write_bytes(damaged)
    with pytest.raises(RunError, match=r"t.csv is damaged \(.*\): remove it") as caught:
        read_table(path, numbers=["psnr"] if b"psnr" in damaged else [])
    assert "\n" not in str(caught.value)
