"""What happens at the limits: single calls are refused with all there is to know, maps wait and go on by themselves."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import limits_app as a
import pytest
from patience import patience, wait_until

import swell
from swell.exception import RequestSizeError, ResourceExhausted, ResourceExhaustedError, ServerWarning

PENDING_SYNC, TOTAL_SYNC, PENDING_ASYNC, OUTSTANDING = 5, 8, 10, 40
PAYLOAD_MAX = 1 << 20
RETRY_AFTER_S = 0.005
PATIENCE_S = patience(60.0)


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(
        a.app,
        pending_sync_max=PENDING_SYNC,
        total_sync_max=TOTAL_SYNC,
        pending_async_max=PENDING_ASYNC,
        map_outstanding_max=OUTSTANDING,
        retry_after_s=RETRY_AFTER_S,
        payload_max=PAYLOAD_MAX,
        run_ahead_ms=0.001,  # else a container that waits may hold inputs that no longer count as waiting
    )


def until(is_so: Callable[[], bool], *, finally_: Callable[[], None] = lambda: None) -> None:
    """Wait until something is so, then do something, also if it never is."""
    try:
        wait_until(is_so, "it has not come true", pause_s=0.005)
    finally:
        finally_()


@pytest.fixture
def busy(board: ModuleType) -> Iterator[Callable[[], None]]:
    """Keep `hold`'s only container busy, with as many calls waiting as may; returns what ends that."""
    with ThreadPoolExecutor(PENDING_SYNC + 1) as threads:
        calls = [threads.submit(a.hold.remote, "go")]
        board.wait_for_note("begin go")
        calls += [threads.submit(a.hold.remote, "go") for _ in range(PENDING_SYNC)]
        try:
            until(lambda: a.hold.get_current_stats().backlog == PENDING_SYNC)
            yield lambda: board.give("go")
        finally:
            board.give("go")
            assert [call.result() for call in calls] == ["go"] * (PENDING_SYNC + 1)


# ---------------------------------------------------------------- single calls


@pytest.mark.nodes
def test_remote_is_refused_at_once_and_told_limit_value_and_when_to_try_again(busy: Callable[[], None]) -> None:
    for _ in range(3):
        told = r"Resource Exhausted.*pending_sync_max = 5.*try again in"
        with pytest.raises(ResourceExhausted, match=told) as caught:
            a.hold.remote("refused")
        assert (caught.value.limit, caught.value.value) == ("pending_sync_max", PENDING_SYNC)
        assert caught.value.retry_after_s == RETRY_AFTER_S
    busy()
    until(lambda: not a.hold.get_current_stats().backlog)
    assert a.hold.remote("go") == "go"
    assert ResourceExhaustedError is ResourceExhausted


async def test_remote_aio_is_refused_in_the_same_way(board: ModuleType) -> None:
    calls = [asyncio.ensure_future(a.hold.remote.aio("go")) for _ in range(PENDING_SYNC + 10)]
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
    assert all(isinstance(call.exception(), ResourceExhausted) for call in done)
    board.give("go")
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results.count("go") >= PENDING_SYNC
    assert {type(result) for result in results} == {str, ResourceExhausted}


def test_limits_are_of_one_function(busy: Callable[[], None]) -> None:
    assert a.quick.remote(1) == 1
    with quietly():
        assert list(a.quick.map(range(100))) == list(range(100))


def test_waiting_and_running_together_have_a_limit_of_their_own(board: ModuleType) -> None:
    with ThreadPoolExecutor(TOTAL_SYNC) as threads:
        calls = []
        for i in range(TOTAL_SYNC):
            calls.append(threads.submit(a.wide.remote, f"w{i}"))
            board.wait_for_note(f"begin w{i}")
        with pytest.raises(ResourceExhausted, match="total_sync_max = 8") as caught:
            a.wide.remote("one more")
        assert caught.value.limit == "total_sync_max"
        for i in range(TOTAL_SYNC):
            board.give(f"w{i}")
        assert [call.result() for call in calls] == [f"w{i}" for i in range(TOTAL_SYNC)]


def test_spawned_inputs_have_a_limit_of_their_own(busy: Callable[[], None]) -> None:
    calls = [a.hold.spawn("go") for _ in range(PENDING_ASYNC)]  # though no more remote() is accepted
    with pytest.raises(ResourceExhausted, match="pending_async_max = 10") as caught:
        a.hold.spawn("one more")
    assert (caught.value.limit, caught.value.value) == ("pending_async_max", PENDING_ASYNC)
    assert caught.value.retry_after_s
    busy()
    assert swell.FunctionCall.gather(*calls) == ["go"] * PENDING_ASYNC


# ---------------------------------------------------------------- maps


def quietly() -> warnings.catch_warnings:
    """Let warnings about limited progress pass."""
    return warnings.catch_warnings(action="ignore", category=ServerWarning)


def test_a_map_of_more_than_may_wait_finishes_without_an_error() -> None:
    with quietly():
        assert list(a.quick.map(range(500))) == list(range(500))
        assert sorted(a.quick.map(range(500), order_outputs=False)) == list(range(500))
        a.quick.for_each(range(100))


async def test_a_map_on_a_loop_finishes_without_an_error() -> None:
    async def inputs() -> AsyncIterator[int]:
        for i in range(300):
            yield i

    with quietly():
        assert [y async for y in a.quick.map.aio(inputs())] == list(range(300))


def test_a_map_that_is_refused_from_the_first_input_on_waits_for_its_turn(busy: Callable[[], None]) -> None:
    """Every eighth refusal is told, as a warning; the map then finishes."""
    results = iter(a.hold.map(["go"] * 20))
    told_so = pytest.warns(ServerWarning, match="hold: progress is limited, 8 times")
    with told_so as caught, ThreadPoolExecutor(1) as threads:
        ended = threads.submit(_end_after_a_warning, caught, busy)
        assert list(results) == ["go"] * 20
        ended.result()
    told = [warning for warning in caught if warning.category is ServerWarning]
    assert f"pending_sync_max = {PENDING_SYNC}" in str(told[0].message)


def _end_after_a_warning(caught: list[warnings.WarningMessage], end: Callable[[], None]) -> None:
    until(lambda: len(caught) > 0, finally_=end)


def test_spawn_map_waits_until_all_are_accepted() -> None:
    with quietly():
        call = a.quick.spawn_map(range(300))
    assert call.num_inputs() == 300
    assert list(call.iter()) == list(range(300))


def test_maps_share_what_may_wait_and_all_finish() -> None:
    with quietly(), ThreadPoolExecutor(4) as threads:
        several = [threads.submit(lambda: list(a.quick.map(range(200)))) for _ in range(4)]
        assert [one.result() for one in several] == [list(range(200))] * 4


# ---------------------------------------------------------------- sizes


@pytest.mark.nodes
def test_values_over_the_largest_size_are_refused() -> None:
    for call in (
        lambda: a.echo.remote(bytes(PAYLOAD_MAX + 1)),
        lambda: a.echo.spawn(bytes(PAYLOAD_MAX + 1)),
        lambda: list(a.echo.map([bytes(PAYLOAD_MAX + 1)])),
        lambda: a.swells.remote(PAYLOAD_MAX + 1),
    ):
        with pytest.raises(RequestSizeError, match=rf"{PAYLOAD_MAX} \(payload_max\)"):
            call()
    assert a.echo.remote(bytes(PAYLOAD_MAX // 2)) == bytes(PAYLOAD_MAX // 2)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(("value", "text"), [("-1", ">= 0"), ("many", "int")])
def test_a_setting_out_of_bounds_is_named_when_a_run_begins(
    value: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_PENDING_SYNC_MAX", value)
    with pytest.raises(swell.exception.InvalidError, match=rf"pending_sync_max.*{text}"), swell.App("x").run():
        pass
