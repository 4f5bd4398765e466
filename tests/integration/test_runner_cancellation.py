"""Inputs that are cancelled in a container, running or not."""

from __future__ import annotations

import pytest
from runner_program import SIGNALS, STUBBORN, SUCCESS, TERMINATED, Start, await_file, concurrent, function

from swell.wire.messages import Cancel, Reclaim


def test_running_sync_input_is_interrupted_and_the_container_goes_on(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((1,), ("hang",), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 3) == [(SUCCESS, 1), (TERMINATED, b""), (SUCCESS, 3)]
    assert peer.run((4,)) == [(SUCCESS, 4)]
    assert peer.end()[0] == 0


def test_cancellation_passes_except_exception_and_runs_finally(start: Start) -> None:
    code = (
        SIGNALS
        + """
import swell.errors
def f():
    try:
        try:
            reached("hanging")
            while True: time.sleep(60)
        except Exception:
            reached("wrong")
    except swell.errors.InputCancellation:
        reached("cancelled")
        raise
    finally:
        reached("cleaned")
"""
    )
    peer = start(function(), code)
    peer.ready()
    delivery = peer.deliver(())
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1) == [(TERMINATED, b"")]
    names = {path.name for path in peer.directory.iterdir()}
    assert {"cancelled", "cleaned"} <= names
    assert "wrong" not in names


def test_cancelled_input_that_finishes_anyway_is_terminated(start: Start) -> None:
    code = (
        SIGNALS
        + """
def f():
    try:
        reached("hanging")
        while True: time.sleep(60)
    except BaseException:
        return "I finish anyway"
"""
    )
    peer = start(function(), code)
    peer.ready()
    delivery = peer.deliver(())
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1) == [(TERMINATED, b"")]


def test_unstarted_items_are_answered_at_once_and_never_run(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver(("hang",), (1,), (2,))
    behind = peer.deliver((3,), (4,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [2]))
    peer.order(Cancel(behind, [0]))  # still unread in the container's socket
    peer.read_until(lambda: {(delivery, 2), (behind, 0)} <= set(peer.results))
    assert (delivery, 0) not in peer.results
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 3) == [(TERMINATED, b""), (SUCCESS, 1), (TERMINATED, b"")]
    assert peer.results_of(behind, 2) == [(TERMINATED, b""), (SUCCESS, 4)]


def test_word_about_what_is_finished_is_ignored(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    delivery = peer.deliver((1,))
    peer.results_of(delivery, 1)
    peer.order(Cancel(delivery, [0]))
    peer.order(Reclaim(delivery))
    assert peer.run((2,)) == [(SUCCESS, 2)]
    assert peer.end()[0] == 0
    assert peer.returned == []


@pytest.mark.parametrize("max_inputs", [1, 4])
def test_running_async_input_is_cancelled_alone(start: Start, max_inputs: int) -> None:
    code = """
import asyncio
async def f(i):
    if i == "hang":
        open("hanging", "w").close()
        await asyncio.sleep(60)
    return i
"""
    peer = start(concurrent(max_inputs=max_inputs, is_async=True), code)
    peer.ready()
    mode = "serial" if max_inputs == 1 else "parallel"
    delivery = peer.deliver((1,), ("hang",), (3,), mode=mode)
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 3) == [(SUCCESS, 1), (TERMINATED, b""), (SUCCESS, 3)]
    assert peer.run((4,), mode=mode) == [(SUCCESS, 4)]
    assert peer.end()[0] == 0


def test_async_input_that_swallows_its_cancellation_does_not_hang_the_container(start: Start) -> None:
    code = """
import asyncio
async def f(i):
    if i == "hang":
        open("hanging", "w").close()
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: pass
        await asyncio.sleep(0.01)
    return i
"""
    peer = start(function(is_async=True), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (2,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 2) == [(TERMINATED, b""), (SUCCESS, 2)]


def test_running_thread_is_cancelled_by_exception_and_siblings_are_not(start: Start) -> None:
    code = (
        SIGNALS
        + """
def f(i):
    if i == "hang":
        reached("hanging")
        while True: time.sleep(0.001)
    await_file("go")
    return i
"""
    )
    peer = start(concurrent(max_inputs=2), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (2,), mode="parallel")
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    peer.read_until(lambda: (delivery, 0) in peer.results)
    assert peer.results[delivery, 0] == (TERMINATED, b"")
    peer.mark("go").touch()
    assert peer.results_of(delivery, 2)[1] == (SUCCESS, 2)
    assert peer.run((3,), (4,), mode="parallel") == [(SUCCESS, 3), (SUCCESS, 4)]


@pytest.mark.parametrize(
    ("is_async", "max_inputs", "mode"),
    [(False, 1, "serial"), (False, 4, "parallel"), (False, 4, "serial"), (True, 1, "serial"), (True, 4, "parallel")],
)
def test_cancelling_many_times_under_load_loses_and_mixes_nothing(
    start: Start, is_async: bool, max_inputs: int, mode: str
) -> None:
    pause = "await asyncio.sleep(0)" if is_async else "pass"
    code = f"import asyncio\n{'async ' if is_async else ''}def f(i):\n    for _ in range(100): {pause}\n    return i"
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async), code)
    peer.ready()
    for _ in range(20):
        delivery = peer.deliver(*[(i,) for i in range(200)], mode=mode)
        for position in range(0, 200, 10):
            peer.order(Cancel(delivery, [position]))
        for i, (status, value) in enumerate(peer.results_of(delivery, 200)):
            assert (status, value) == (SUCCESS, i) or (status is TERMINATED and i % 10 == 0)
    assert peer.end()[0] == 0
