"""Generators in a container: values leave as they come, and wait for their consumer."""

from __future__ import annotations

import pytest
from runner_program import FAILURE, TERMINATED, Start, await_file, function

from swell.errors import InvalidError, SerializationError
from swell.model import (
    OutputStatus,
)
from swell.wire.messages import Cancel, ItemsTaken


def test_generator_yields_then_tells_the_count(start: Start) -> None:
    peer = start(function(is_generator=True), "def f(n):\n    for i in range(n): yield i * i")
    peer.ready()
    assert peer.run((300,), (0,)) == [(OutputStatus.GENERATOR_DONE, 300), (OutputStatus.GENERATOR_DONE, 0)]
    assert peer.yielded == {(1, 0): [i * i for i in range(300)]}


def test_generator_object_of_a_plain_function(start: Start) -> None:
    peer = start(function(is_generator=True), "def f(n): return (i for i in range(n))")
    peer.ready()
    assert peer.run((3,)) == [(OutputStatus.GENERATOR_DONE, 3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_values_arrive_while_the_generator_is_stuck(start: Start, is_async: bool) -> None:
    wait = "await asyncio.sleep(0.001)" if is_async else "time.sleep(0.001)"
    code = f"""
import asyncio, os, time
{"async " if is_async else ""}def f():
    yield "at once"
    yield "soon after"
    while not os.path.exists("go"): {wait}
    yield "last"
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver(())
    peer.read_until(lambda: peer.yielded.get((delivery, 0)) == ["at once", "soon after"])
    peer.mark("go").touch()
    assert peer.results_of(delivery, 1) == [(OutputStatus.GENERATOR_DONE, 3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_waits_for_its_consumer(start: Start, is_async: bool) -> None:
    code = f"""
progress = 0
{"async " if is_async else ""}def f():
    for i in range(3000):
        open("progress", "w").write(str(i))
        yield i
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver(())
    values = peer.yielded.setdefault((delivery, 0), [])
    peer.read_until(lambda: len(values) == 1024)
    assert peer.mark("progress").read_text() == "1023"
    peer.order(ItemsTaken(delivery, 0, 500))
    peer.read_until(lambda: len(values) == 1524)
    peer.order(ItemsTaken(delivery, 0, 3000))
    assert peer.results_of(delivery, 1) == [(OutputStatus.GENERATOR_DONE, 3000)]
    assert values == list(range(3000))


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_fails_after_its_values(start: Start, is_async: bool) -> None:
    peer = start(
        function(is_generator=True, is_async=is_async),
        f"{'async ' if is_async else ''}def f():\n    yield 1\n    yield 2\n    raise ValueError('three')",
    )
    peer.ready()
    [(status, error)] = peer.run(())
    assert (status, str(error)) == (FAILURE, "three")
    assert peer.yielded == {(1, 0): [1, 2]}
    assert peer.run(())[0][0] is FAILURE


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_that_waits_for_its_consumer_can_be_cancelled(start: Start, is_async: bool) -> None:
    code = f"""
{"async " if is_async else ""}def f(n):
    try:
        for i in range(n): yield i
    finally:
        open("cleaned", "w").close()
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver((5000,))
    values = peer.yielded.setdefault((delivery, 0), [])
    peer.read_until(lambda: len(values) == 1024)
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1)[0][0] is TERMINATED
    await_file(peer.mark("cleaned"))
    assert peer.run((2,)) == [(OutputStatus.GENERATOR_DONE, 2)]


@pytest.mark.parametrize(("value", "is_async"), [("[1, 2]", False), ("None", False), ("[1, 2]", True)])
def test_generator_flag_without_a_generator(start: Start, value: str, is_async: bool) -> None:
    peer = start(
        function(is_generator=True, is_async=is_async), f"{'async ' if is_async else ''}def f(): return {value}"
    )
    peer.ready()
    [(status, error)] = peer.run(())
    assert status is FAILURE
    assert isinstance(error, InvalidError)
    assert "is_generator=True" in str(error)


def test_yielded_value_that_cannot_be_pickled_fails_the_generator(start: Start) -> None:
    peer = start(function(is_generator=True), "import threading\ndef f():\n    yield 1\n    yield threading.Lock()")
    peer.ready()
    [(_, error)] = peer.run(())
    assert isinstance(error, SerializationError)
    assert peer.yielded == {(1, 0): [1]}
