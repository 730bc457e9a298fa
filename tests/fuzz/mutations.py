"""Mutations of files: bytes and words of any, values of structured ones. Hypothesis chooses and shrinks."""

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

NUMBERS = (
    b"0", b"-1", b"1e400", b"-1e-400", b"nan", b"NaN", b"inf", b"-Infinity", b"0.5", b"255", b"65536",
    b"2147483648", b"4294967295", b"9223372036854775807", b"99999999999999999999", b"1" * 400,
)  # fmt: skip
TOKENS = (
    *NUMBERS, b"", b"null", b"true", b'""', b"[]", b"{}", b'"x"', b"[" * 3000, b"\0", b"\xff\xfe", b"\r\n",
    b"../../x", b"/etc/passwd", b"..\\x", b"a" * 5000, b"\xef\xbb\xbf", "é\u202e\ud7ff".encode(), b",", b"#",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 0.5, 10**20, 10**400, float("nan"), float("inf"), "", "x", "NA", "../../x",
    "a" * 5000, "\0", "\ud800", [], {}, [[]], [None], {"x": 1}, [0] * 16, [[0.0] * 4] * 4,
)  # fmt: skip
WORD = re.compile(rb"[-+.\w]+")


def changes(structured: bool = False) -> st.SearchStrategy[list[Change]]:
    """Lists of one to four changes of a file; `structured`: of JSON values as well."""
    where, number = st.floats(0, 1, exclude_max=True), st.integers(0, 255)
    kinds = [
        st.builds(_byte, where, number),
        st.builds(_bit, where, st.integers(0, 7)),
        st.builds(_cut, where),
        st.builds(_delete, where, st.integers(1, 64)),
        st.builds(_insert, where, st.sampled_from(TOKENS)),
        st.builds(_repeat, where, st.integers(1, 64), st.sampled_from((2, 50))),
        st.builds(_word, where, st.sampled_from(TOKENS)),
        st.builds(_word, where, st.sampled_from(NUMBERS)),
        st.builds(_integer, where, st.sampled_from((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))),
    ]
    if structured:
        kinds += [
            st.builds(_value, where, st.sampled_from(VALUES)),
            st.builds(_value, where, st.sampled_from(VALUES)),
            st.builds(_drop, where),
            st.builds(_copy, where, where),
        ]
    return st.lists(st.one_of(kinds), min_size=1, max_size=4)


def mutated(data: bytes, chosen: list[Change]) -> bytes:
    """The data after all changes, in order."""
    for change in chosen:
        data = change(data)
    return data


def _at(where: float, data: bytes) -> int:
    return int(where * len(data))


def _byte(where: float, value: int) -> Change:
    return lambda data: data[: _at(where, data)] + bytes([value]) + data[_at(where, data) + 1 :]


def _bit(where: float, bit: int) -> Change:
    def change(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] if data else data

    return change


def _cut(where: float) -> Change:
    return lambda data: data[: _at(where, data)]


def _delete(where: float, size: int) -> Change:
    return lambda data: data[: _at(where, data)] + data[_at(where, data) + size :]


def _insert(where: float, token: bytes) -> Change:
    return lambda data: data[: _at(where, data)] + token + data[_at(where, data) :]


def _repeat(where: float, size: int, times: int) -> Change:
    def change(data: bytes) -> bytes:
        at = _at(where, data)
        return data[:at] + data[at : at + size] * times + data[at + size :]

    return change


def _word(where: float, token: bytes) -> Change:
    """Replace the next word or number."""

    def change(data: bytes) -> bytes:
        found = WORD.search(data, _at(where, data))
        return data[: found.start()] + token + data[found.end() :] if found else data

    return change


def _integer(where: float, value: int) -> Change:
    """Write a little-endian integer, as counts and sizes of binary formats are."""

    def change(data: bytes) -> bytes:
        size = 8 if value >= 2**32 else 4
        at = _at(where, data)
        return data[:at] + value.to_bytes(size, "little") + data[at + size :]

    return change


def _structured(edit: Callable[[list[tuple[Any, Any]]], None]) -> Change:
    """Edit a JSON document, given all its (container, key) places."""

    def change(data: bytes) -> bytes:
        try:
            document = [json.loads(data)]
            places = list(_places(document))
            edit(places)
            return json.dumps(document[0]).encode()
        except (ValueError, RecursionError):
            return data

    return change


def _places(container: Any):
    keys = container if isinstance(container, dict) else range(len(container))
    for key in list(keys):
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])


def _value(where: float, value: Any) -> Change:
    def edit(places: list[tuple[Any, Any]]) -> None:
        container, key = places[int(where * len(places))]
        container[key] = value

    return _structured(edit)


def _drop(where: float) -> Change:
    def edit(places: list[tuple[Any, Any]]) -> None:
        container, key = places[int(where * len(places))]
        if len(places) > 1 and container is not places[0][0]:
            del container[key]

    return _structured(edit)


def _copy(where: float, to: float) -> Change:
    def edit(places: list[tuple[Any, Any]]) -> None:
        container, key = places[int(where * len(places))]
        other, place = places[int(to * len(places))]
        other[place] = json.loads(json.dumps(container[key]))

    return _structured(edit)
