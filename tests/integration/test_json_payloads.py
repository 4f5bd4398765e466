"""Arguments that come as JSON: a real container answers each in the form that it came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from swell.errors import DeserializationError
from swell.model import Batching, FunctionSpec, OutputStatus, Source
from swell.wire import blobs, payload
from swell.wire.blob_names import input_name
from swell.wire.json_payload import MARK, JsonException
from swell.wire.shelf import Shelf

Start = Callable[..., Any]

SUCCESS, FAILURE = OutputStatus.SUCCESS, OutputStatus.FAILURE
PAIR = "def f(x, y=0): return x, y"  # a tuple comes back as one from a pickle, and as a list from JSON


def function(**options: Any) -> FunctionSpec:
    return FunctionSpec("f", Source("program", "f"), **options)


def as_json(*args: Any, **kwargs: Any) -> bytes:
    return MARK + json.dumps({"args": args, "kwargs": kwargs}).encode()


def told(result: tuple[OutputStatus, Any]) -> JsonException:
    status, value = result
    assert status is FAILURE
    assert isinstance(value, JsonException), value
    return value


@pytest.mark.parametrize("is_async", [False, True])
def test_each_input_of_a_delivery_is_answered_in_its_own_form(start: Start, is_async: bool) -> None:
    peer = start(function(is_async=is_async), f"{'async ' if is_async else ''}{PAIR}")
    peer.ready()
    results = peer.run(as_json(1, y="é"), (2,), as_json(3), MARK + b'{"kwargs":{"x":4}}')
    assert results == [(SUCCESS, [1, "é"]), (SUCCESS, (2, 0)), (SUCCESS, [3, 0]), (SUCCESS, [4, 0])]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_is_told_in_words(start: Start, is_async: bool) -> None:
    code = f"class Own(ValueError): pass\n{'async ' if is_async else ''}def f(x): raise Own(f'not {{x}} \\udc00')"
    peer = start(function(is_async=is_async), code)
    peer.ready()
    in_json, pickled = peer.run(as_json(7), (8,))
    exception = told(in_json)
    assert exception.type.endswith("Own")
    assert exception.message == "not 7 \\udc00"
    assert exception.traceback.rstrip().endswith("Own: not 7 \\udc00")
    assert isinstance(pickled[1], BaseException)
    assert peer.end()[2].count("Traceback") == 2, "both are in the container's log"


@pytest.mark.parametrize(
    ("result", "kind", "path"),
    [
        ("object()", "object", "$"),
        ("{'a': [1, {'b': 1j}]}", "complex", "$.a[1].b"),
        ("[{(1, 2): 3}]", "dict", "$[0]"),
        ("Point(1, [open])", "builtin_function_or_method", "$.y[0]"),
        ("{'text': '\\ud800'}", "str", "$.text"),
    ],
)
def test_a_result_that_has_no_json_fails_its_input_and_says_where(
    start: Start, result: str, kind: str, path: str
) -> None:
    code = f"""
from dataclasses import dataclass
@dataclass
class Point:
    x: object
    y: object
def f(good): return [good] if good else {result}
"""
    peer = start(function(), code)
    peer.ready()
    bad, good = peer.run(as_json(0), as_json(1))
    exception = told(bad)
    assert exception.type == "swell.errors.SerializationError"
    assert f"a value of type {kind} at {path} cannot be sent as JSON" in exception.message
    assert good == (SUCCESS, [1]), "and no other"


def test_what_python_has_beyond_json_becomes_what_stands_for_it(start: Start) -> None:
    code = """
import datetime, decimal, enum, uuid
from dataclasses import dataclass
import numpy
@dataclass
class Point:
    x: float
Colour = enum.Enum("Colour", {"RED": "red"})
def f():
    return [Point(1.5), (1, 2), {3}, {4: None}, datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
            uuid.UUID(int=1), decimal.Decimal("1.10"), b"ab", Colour.RED, numpy.float32(0.5),
            numpy.arange(4).reshape(2, 2), 10**30, float("nan")]
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run(as_json()) == [
        (
            SUCCESS,
            [
                {"x": 1.5},
                [1, 2],
                [3],
                {"4": None},
                "2026-01-02T03:04:05Z",
                "00000000-0000-0000-0000-000000000001",
                "1.10",
                "YWI=",
                "red",
                0.5,
                [[0, 1], [2, 3]],
                10**30,
                None,
            ],
        )
    ]


def test_arguments_that_are_not_json_fail_only_their_input(start: Start) -> None:
    peer = start(function(), PAIR)
    peer.ready()
    cut, deep, wrong, good = peer.run(MARK + b"{", MARK + b"[" * 100_000, MARK + b'{"args":1}', as_json(1))
    for bad in (cut, deep, wrong):
        assert told(bad).type == f"swell.errors.{DeserializationError.__name__}"
    assert good == (SUCCESS, [1, 0])


def test_large_arguments_and_results_are_files(start: Start) -> None:
    peer = start(function(), "def f(text): return (text, len(text))")
    peer.ready()
    text = "ü" * 50_000
    name = input_name("fc-1", 0)
    blobs.store([memoryview(as_json(text))], Shelf(str(peer.blob_dir)), name)
    assert peer.run(name.encode(), blob_positions=[0]) == [(SUCCESS, [text, 50_000])]
    whole = peer.messages[-1]
    assert whole.blobs == [0]
    data = (peer.blob_dir / "fc-1.0.out").read_bytes()
    assert MARK + b'["' in data, "the result is JSON in its file, too"


@pytest.mark.parametrize("lost", [b"fc-1.0.in", b"../../etc/passwd"])
def test_arguments_in_a_file_that_cannot_be_read_fail_their_input(start: Start, lost: bytes) -> None:
    peer = start(function(), PAIR)
    peer.ready()
    (result,) = peer.run(lost, blob_positions=[0])
    assert result[0] is FAILURE
    assert isinstance(result[1], DeserializationError)
    assert peer.run(as_json(1)) == [(SUCCESS, [1, 0])]


@pytest.mark.parametrize("is_async", [False, True])
def test_items_of_a_generator_are_json(start: Start, is_async: bool) -> None:
    code = f"{'async ' if is_async else ''}def f(n):\n    for i in range(n): yield i, str(i)\n    yield object()"
    peer = start(function(is_async=is_async, is_generator=True), code)
    peer.ready()
    delivery = peer.deliver(as_json(3))
    (result,) = peer.results_of(delivery, 1)
    assert peer.yielded[delivery, 0] == [[0, "0"], [1, "1"], [2, "2"]]
    assert "a value of type object at $" in told(result).message


@pytest.mark.parametrize("is_async", [False, True])
def test_a_batch_answers_each_call_in_its_own_form(start: Start, is_async: bool) -> None:
    code = f"""
{"async " if is_async else ""}def f(xs):
    if 13 in xs:
        raise ValueError("unlucky")
    return [(x, open if x == 4 else len(xs)) for x in xs]
"""
    peer = start(function(is_async=is_async, batching=Batching(8, 1_000)), code)
    peer.ready()
    calls = (as_json(1), (2,), MARK + b'{"args":[3,4,5]}', as_json(4), as_json(5))
    one, two, ill, unfit, five = peer.run(*calls, mode="batch")
    assert (one, two, five) == ((SUCCESS, [1, 4]), (SUCCESS, (2, 4)), (SUCCESS, [5, 4]))
    assert "takes 1 positional arguments" in told(ill).message
    assert "at $[1] cannot be sent as JSON" in told(unfit).message

    in_json, pickled = peer.run(as_json(13), (14,), mode="batch")
    assert (told(in_json).type, told(in_json).message) == ("ValueError", "unlucky")
    assert isinstance(pickled[1], ValueError)


def test_a_pickle_is_never_taken_for_json() -> None:
    for value in (None, 0, "", b"", (), {}, MARK, object, [MARK] * 3):
        data = payload.dumps(value)
        assert data[0] == 0x80
        assert payload.loads(data) == value
