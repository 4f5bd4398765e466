"""Payloads that are JSON: how they are told from pickles, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.errors import DeserializationError, RequestSizeError, SerializationError
from swell.wire import blobs, payload
from swell.wire.json_payload import (
    MARK,
    decode_json,
    decode_json_arguments,
    decode_json_exception,
    encode_json,
    encode_json_exception,
    is_json,
    json_of,
)
from swell.wire.shelf import Shelf

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
values = plain.filter(lambda value: "\\ud" not in ascii(value))


@given(values)
def test_what_json_has_comes_back_as_it_was(value: Any) -> None:
    data = encode_json(value)
    assert is_json(data)
    assert is_json(memoryview(data))
    assert decode_json(data) == value
    assert payload.loads(data) == value, "the SDK reads both forms"
    assert payload.loads(memoryview(data)) == value


@given(st.binary(max_size=40))
def test_bytes_that_are_neither_are_refused(data: bytes) -> None:
    for damaged in (MARK[:-1] + data, MARK + b"\x01" + data):
        with pytest.raises(DeserializationError):
            payload.loads(damaged)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"args":{}}', b'{"kwargs":[]}', b'{"args":[1]', b"\xff", b"[" * 9_999])
def test_arguments_are_lists_and_objects(data: bytes) -> None:
    with pytest.raises(DeserializationError):
        decode_json_arguments(MARK + data)


def test_arguments_may_be_left_out() -> None:
    assert decode_json_arguments(MARK + b"{}") == ((), {})
    assert decode_json_arguments(MARK + b'{"args":[1,[2]],"kwargs":{"x":null}}') == ((1, [2]), {"x": None})


def test_a_value_that_contains_itself_is_refused() -> None:
    knot: list[Any] = []
    knot.append({"again": knot})
    with pytest.raises(SerializationError, match="recursion"):
        encode_json(knot)


def test_exceptions_keep_their_words() -> None:
    told = decode_json_exception(encode_json_exception("own.Error", "is \udc80 bad", "Trace\nback"))
    assert (told.type, told.message, told.traceback) == ("own.Error", "is \\udc80 bad", "Trace\nback")
    with pytest.raises(DeserializationError):
        decode_json_exception(MARK + b"{}")


def test_the_text_of_a_pickled_exception_is_read_without_unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    data = payload.encode_exception(ValueError("as it must"), where="ta-1", hide=[])
    monkeypatch.setattr(payload, "_pickle_loads", lambda *_, **__: pytest.fail("it was unpickled"))
    assert payload.exception_text(data) == "ValueError: as it must\n"
    with pytest.raises(DeserializationError):
        payload.exception_text(b"no such thing")


def test_a_file_shows_how_it_begins_and_is_read_as_it_is(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    data = encode_json("x" * 1_000)
    name = blobs.store([memoryview(data)], shelf, "json")
    pickled, _ = blobs.pack(b"x" * 1_000, 10, shelf, "pickled")
    assert blobs.starts_with(MARK, name, shelf)
    assert not blobs.starts_with(MARK, pickled, shelf)
    assert blobs.unpack(name, shelf) == "x" * 1_000
    assert json_of(blobs.read_single(name, shelf, len(data))) == b'"' + b"x" * 1_000 + b'"'
    with pytest.raises(RequestSizeError, match=str(len(data) - 1)):
        blobs.read_single(name, shelf, len(data) - 1)


@pytest.mark.parametrize("content", [None, b"", b"\x01", b"\xff" * 8, b"\x01" + b"\0" * 7, b"\xff" * 100])
def test_a_file_that_is_missing_or_damaged_begins_with_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "blob").write_bytes(content)
    assert not blobs.starts_with(MARK, b"blob", Shelf(str(tmp_path)))
    assert not blobs.starts_with(MARK, b"../blob", Shelf(str(tmp_path)))
    with pytest.raises(DeserializationError):
        blobs.read_single(b"blob", Shelf(str(tmp_path)), 1_000)
