"""Batches in a container: lists in, results spread."""

from __future__ import annotations

from typing import Any

import pytest
from runner_program import FAILURE, SIGNALS, SUCCESS, TERMINATED, Start, await_file, concurrent, function

from swell.errors import DeserializationError
from swell.model import (
    Batching,
)
from swell.wire import payload
from swell.wire.messages import Cancel

BATCHED: dict[str, Any] = {"batching": Batching(8, 10)}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("max_inputs", [1, 2])
def test_batch_gives_lists_and_spreads_results(start: Start, is_async: bool, max_inputs: int) -> None:
    code = f"{'async ' if is_async else ''}def f(x, y): return [(a, b, len(x)) for a, b in zip(x, y)]"
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async, **BATCHED), code)
    peer.ready()
    calls = [payload.encode_arguments((i,), {"y": -i}) for i in range(5)]
    assert peer.run(*calls, mode="batch") == [(SUCCESS, (i, -i, 5)) for i in range(5)]
    assert peer.run((1, 2), mode="batch") == [(SUCCESS, (1, 2, 1))]
    assert peer.end()[0] == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_malformed_calls_fail_alone(start: Start, is_async: bool) -> None:
    peer = start(
        function(is_async=is_async, **BATCHED), f"{'async ' if is_async else ''}def f(x, y): return [len(x)] * len(x)"
    )
    peer.ready()
    encode = payload.encode_arguments
    calls = [(1, 2), (1, 2, 3), encode((1,), {"z": 1}), encode((1, 2), {"y": 3}), (1,), b"garbage", (5, 6)]
    results = peer.run(*calls, mode="batch")
    assert results[0] == results[6] == (SUCCESS, 2)
    assert all(status is FAILURE for status, _ in results[1:6])
    texts = [str(error) for _, error in results[1:6]]
    assert "takes 2 positional arguments, but one invocation in the batch has 3" in texts[0]
    assert "unexpected keyword argument 'z'" in texts[1]
    assert "multiple values for argument 'y'" in texts[2]
    assert "misses the argument 'y'" in texts[3]
    assert isinstance(results[5][1], DeserializationError)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return (1, 2)", "must be a list"),
        ("return [1]", "equal length"),
        ("raise ValueError('all of you')", "all of you"),
    ],
)
def test_whole_batch_fails_with_its_body(start: Start, body: str, text: str) -> None:
    peer = start(function(**BATCHED), f"def f(x):\n    {body}")
    peer.ready()
    results = peer.run((1,), (2,), mode="batch")
    assert all(status is FAILURE and text in str(error) for status, error in results)
    assert results[0][1] is not results[1][1]


def test_result_of_a_batch_that_cannot_be_pickled_fails_alone(start: Start) -> None:
    code = "import threading\ndef f(x): return [threading.Lock() if i == 1 else i for i in x]"
    peer = start(function(**BATCHED), code)
    peer.ready()
    results = peer.run((0,), (1,), (2,), mode="batch")
    assert [status for status, _ in results] == [SUCCESS, FAILURE, SUCCESS]


@pytest.mark.parametrize(("is_async", "max_inputs"), [(False, 1), (False, 2), (True, 1)])
def test_cancelling_one_of_a_batch_cancels_all(start: Start, is_async: bool, max_inputs: int) -> None:
    wait = "await asyncio.sleep(0.001)" if is_async else "time.sleep(0.001)"
    code = (
        SIGNALS
        + f"""
import asyncio
{"async " if is_async else ""}def f(x):
    while 'hang' in x:
        reached("hanging")
        {wait}
    return x
"""
    )
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async, **BATCHED), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (1,), (2,), mode="batch")
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [2, 1]))
    assert peer.results_of(delivery, 3) == [(TERMINATED, b"")] * 3
    assert peer.run((3,), mode="batch") == [(SUCCESS, 3)]
    assert peer.end()[0] == 0


def test_batch_context_is_that_of_its_first_input(start: Start) -> None:
    code = "from swell.wire.context import current_input_id\ndef f(x): return [current_input_id()] * len(x)"
    peer = start(function(**BATCHED), code)
    peer.ready()
    assert peer.run((0,), (1,), mode="batch") == [(SUCCESS, "in-1:0")] * 2
