"""JSON as other systems write it, and one line for everything else."""

import pytest

from ilrm.errors import ConfigError, DataError
from ilrm.system.json_files import read_json, read_kept


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_unicode_encoding_is_read(encoding, tmp_path):
    (tmp_path / "a.json").write_text('{"name": "café"}', encoding)
    assert read_json(tmp_path / "a.json") == {"name": "café"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', "is truncated or not valid JSON"),
        (b"", "is truncated or not valid JSON"),
        (b'"caf\xe9"', "is truncated or not valid JSON"),
        (b"[" * 200_000, "is nested too deeply"),
        (b"1" * 10_000, "is truncated or not valid JSON"),
    ],
)
def test_everything_else_is_one_line(content, message, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.json {message}.*: fetch it") as caught:
        read_json(tmp_path / "a.json", fix="fetch it")
    assert "\n" not in str(caught.value)


def test_what_was_kept_is_made_again_if_it_is_damaged(tmp_path, capsys):
    path = tmp_path / "a.json"
    assert read_kept(path) == {} and capsys.readouterr().out == ""
    path.write_text('{"a": 1}')
    assert read_kept(path) == {"a": 1} and capsys.readouterr().out == ""
    for content in ("", '{"a": ', "[]"):
        path.write_text(content)
        assert read_kept(path) == {}
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{path} is ") and line.endswith(": it is made again")


def test_a_missing_file_is_an_error_of_the_caller_s_kind(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json cannot be read \(No such file"):
        read_json(tmp_path / "none.json", ConfigError)
