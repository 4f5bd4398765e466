"""FunctionCall: the result of a spawned call, to be fetched later, again, and from anywhere."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import calls_app as c
import pytest

import swell
from swell.exception import InvalidError, NotFoundError, RemoteError, SerializationError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app)


# ---------------------------------------------------------------- get


@pytest.mark.nodes
def test_get_waits_for_the_result_and_gives_it_again() -> None:
    call = c.square.spawn(5)
    assert call.object_id.startswith("fc-")
    assert [call.get() for _ in range(3)] == [25, 25, 25]


def test_spawn_returns_before_the_result_is_there(board: ModuleType) -> None:
    call = c.wait.spawn("go")
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError, match="not finished"):
            call.get(timeout=timeout)
    board.give("go")
    assert call.get(timeout=20) == "go"
    assert call.get(timeout=0) == "go"


async def test_every_form_has_an_aio() -> None:
    call = await c.square.spawn.aio(6)
    assert await call.get.aio() == 36
    assert await call.get.aio(timeout=0) == 36
    assert await call.num_inputs.aio() == 1
    assert [x async for x in call.iter.aio()] == [36]
    assert await swell.FunctionCall.gather.aio(call, await c.square.spawn.aio(2)) == [36, 4]
    await call.cancel.aio()
    slow = await c.wait.spawn.aio("never")
    with pytest.raises(TimeoutError):
        await slow.get.aio(timeout=0)
    with pytest.raises(TimeoutError):
        await slow.get.aio(timeout=0.05)
    await slow.cancel.aio()
    with pytest.raises(RemoteError):
        await slow.get.aio()


def test_what_the_function_raised_is_raised_each_time() -> None:
    call = c.show_or_fail.spawn("bad")
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            call.get()
        assert caught.value.args == ("bad",)


@pytest.mark.nodes
def test_a_large_result_can_be_fetched_again() -> None:
    call = c.echo.spawn(bytes(5_000_000))
    assert call.get() == call.get() == bytes(5_000_000)


def test_an_unpicklable_argument_is_the_spawners_error() -> None:
    with pytest.raises(SerializationError, match="lock"):
        c.echo.spawn(threading.Lock())
    assert c.echo.spawn(1).get() == 1


# ---------------------------------------------------------------- from_id


def test_the_id_is_enough() -> None:
    call = swell.FunctionCall.from_id(c.square.spawn(7).object_id)
    assert call.get() == 49
    assert call.num_inputs() == 1


@pytest.mark.nodes
def test_another_process_can_fetch_the_result() -> None:
    call = c.square.spawn(8)
    code = f"import swell; print(swell.FunctionCall.from_id({call.object_id!r}).get())"
    address = c.app.session.client.address  # pyright: ignore[reportOptionalMemberAccess]
    environment = {**os.environ, "SWELL_SERVER": address}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "64\n"


@pytest.mark.parametrize("use", ["get", "num_inputs"])
def test_an_unknown_id_is_not_found(use: str) -> None:
    call = swell.FunctionCall.from_id("fc-" + "0" * 22)  # no question is asked yet
    with pytest.raises(NotFoundError, match="fc-0000"):
        getattr(call, use)()
    with pytest.raises(NotFoundError):
        call.get(timeout=0)
    with pytest.raises(NotFoundError):
        list(call.iter())


def test_an_id_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidError, match="fc-"):
        swell.FunctionCall.from_id("ap-123")


# ---------------------------------------------------------------- many inputs


@pytest.mark.nodes
def test_spawn_map_is_one_call() -> None:
    call = c.square.spawn_map(range(3_000))
    assert call.num_inputs() == 3_000
    assert list(call.iter()) == [i * i for i in range(3_000)]
    assert call.get(index=2_999) == 2_999**2
    assert call.get() == 0
    assert swell.FunctionCall.from_id(call.object_id).num_inputs() == 3_000
    assert c.square.experimental_spawn_map([2]).get() == 4


def test_a_part_of_the_results_can_be_asked_for() -> None:
    call = c.square.spawn_map(range(10))
    assert list(call.iter(start=3, end=6)) == [9, 16, 25]
    assert list(call.iter(start=8)) == [64, 81]
    assert list(call.iter(start=4, end=4)) == []
    for start, end in ((-1, None), (0, 11), (5, 4)):
        with pytest.raises(ValueError, match="10 inputs"):
            list(call.iter(start=start, end=end))
    for index in (10, -1):
        with pytest.raises(ValueError, match="10 inputs"):
            call.get(index=index)


def test_a_failed_input_raises_in_its_place() -> None:
    results = c.show_or_fail.spawn_map(["a", "b", "bad", "c"]).iter()
    assert [next(results), next(results)] == ["a", "b"]
    with pytest.raises(KeyError):
        next(results)


def test_results_are_there_as_soon_as_their_inputs_are_done(board: ModuleType) -> None:
    call = c.wait.spawn_map(["slow", "quick"])
    board.give("quick")
    assert call.get(index=1) == "quick"
    with pytest.raises(TimeoutError):
        call.get(timeout=0)
    board.give("slow")
    assert list(call.iter()) == ["slow", "quick"]


def test_nothing_to_spawn_is_a_call_of_nothing() -> None:
    call = c.square.spawn_map([])
    assert call.num_inputs() == 0
    assert list(call.iter()) == []


# ---------------------------------------------------------------- gather


def test_gather_gives_the_results_in_the_order_of_the_calls(board: ModuleType) -> None:
    calls = [c.wait.spawn("slow"), c.wait.spawn("quick")]
    board.give("quick")
    board.wait_for_note("end quick")
    board.give("slow")
    assert swell.FunctionCall.gather(*calls) == ["slow", "quick"]
    assert swell.FunctionCall.gather(calls[0], calls[0]) == ["slow", "slow"]
    assert swell.FunctionCall.gather() == []


def test_gather_raises_the_first_failure_and_the_others_go_on(board: ModuleType) -> None:
    slow = c.wait.spawn("later")
    with pytest.raises(KeyError):
        swell.FunctionCall.gather(slow, c.show_or_fail.spawn("bad"))
    board.give("later")
    assert slow.get() == "later"


# ---------------------------------------------------------------- cancel


def test_cancel_ends_what_runs_and_what_waits(board: ModuleType) -> None:
    call = c.one_at_a_time.spawn_map(["first", "second"])
    board.wait_for_note("begin first")
    call.cancel()
    for index in (0, 1):
        with pytest.raises(RemoteError, match="cancelled"):
            call.get(index=index)
    assert c.one_at_a_time.remote("pass") == "pass"
    assert "begin second" not in board.notes()


def test_cancelling_what_is_finished_is_harmless() -> None:
    call = c.square.spawn(3)
    assert call.get() == 9
    call.cancel()
    call.cancel()
    assert call.get() == 9


def test_cancel_may_take_the_container_with_it_and_its_neighbours_run_again(board: ModuleType) -> None:
    stays, goes = c.wait_in_pair.spawn("stays"), c.wait_in_pair.spawn("goes")
    board.wait_for_note("begin stays", "begin goes")
    goes.cancel(terminate_containers=True)
    with pytest.raises(RemoteError):
        goes.get()
    board.wait_for_count("begin", 3)  # in another container, before it is let go
    board.give("stays")
    assert stays.get() == "stays"
    assert board.notes().count("begin stays") == 2


# ---------------------------------------------------------------- life


def test_what_nobody_waited_for_ends_with_the_run(board: ModuleType) -> None:
    app = swell.App("left alone")
    board_dir = os.environ["BOARD"]

    def waits(board_dir: str) -> None:
        import time
        from pathlib import Path

        Path(board_dir, "signal-begun").touch()
        time.sleep(100)  # runs in a container, until it is stopped
        Path(board_dir, "signal-done").touch()

    function = app.function(serialized=True)(waits)
    with app.run():
        function.spawn(board_dir)
        board.wait_for("begun")
    assert not board.given("done")


async def test_many_calls_are_watched_at_once() -> None:
    calls = await asyncio.gather(*[c.square.spawn.aio(i) for i in range(200)])
    assert await asyncio.gather(*[call.get.aio() for call in calls]) == [i * i for i in range(200)]
