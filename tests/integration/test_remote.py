"""Single calls: every form of them, from every place they can be made from."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import calls_app as c
import pytest

import swell
from swell.exception import AsyncUsageWarning, ExecutionError, InvalidError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app)


# ---------------------------------------------------------------- forms


@pytest.mark.nodes
def test_remote_returns_the_result() -> None:
    assert c.square.remote(7) == 49
    assert c.double.remote(7) == 14


def test_arguments_arrive_as_they_were_given() -> None:
    assert c.show.remote(1, "two", three=[3], four={"5": None}) == ((1, "two"), {"three": [3], "four": {"5": None}})
    assert c.show.remote() == ((), {})


def test_any_name_may_be_that_of_an_argument() -> None:
    names = {"self": 1, "link": 2, "args": 3, "kwargs": 4, "timeout": 5, "client": 6}
    assert c.show.remote(**names) == ((), names)
    assert c.show.spawn(**names).get() == ((), names)
    assert c.show.local(**names) == ((), names)
    assert asyncio.run(c.show.remote.aio(**names)) == ((), names)
    assert list(c.show.map([1], kwargs={"link": 2})) == [((1,), {"link": 2})]


def test_local_runs_here_a_coroutine_for_an_async_function() -> None:
    assert c.square.local(3) == 9
    assert asyncio.run(c.double.local(3)) == 6  # pyright: ignore[reportArgumentType]


def test_a_function_is_not_callable() -> None:
    with pytest.raises(TypeError, match=r"square\.remote"):
        c.square(3)  # pyright: ignore[reportCallIssue]


@pytest.mark.nodes
async def test_aio_leaves_the_loop_free(board: ModuleType) -> None:
    waiting = asyncio.ensure_future(c.wait.remote.aio("go"))
    assert await c.square.remote.aio(3) == 9  # while the other waits
    board.give("go")
    assert await waiting == "go"


async def test_a_thousand_coroutines_share_one_connection() -> None:
    assert await asyncio.gather(*[c.square.remote.aio(i) for i in range(1_000)]) == [i * i for i in range(1_000)]


async def test_a_blocking_form_inside_a_loop_warns_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(AsyncUsageWarning, match=r"square\.remote\.aio"):
        assert c.square.remote(3) == 9
    with pytest.warns(AsyncUsageWarning, match=r"numbers\.remote_gen\.aio"):
        assert list(c.numbers.remote_gen(2)) == [0, 1]
    monkeypatch.setenv("SWELL_ASYNC_WARNINGS", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert c.square.remote(3) == 9


@pytest.mark.nodes
def test_every_loop_of_a_program_can_call() -> None:
    for _ in range(3):
        assert asyncio.run(c.square.remote.aio(4)) == 16


async def test_a_coroutine_that_gives_up_cancels_its_call(board: ModuleType) -> None:
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.3):
            await c.async_wait.remote.aio("never")
    while (await c.async_wait.get_current_stats.aio()).num_running_inputs:  # noqa: ASYNC110 - the server knows
        await asyncio.sleep(0.01)
    assert board.notes().count("end never") == 0


# ---------------------------------------------------------------- wrong use


def test_a_generator_is_not_for_remote_and_the_other_way_round() -> None:
    with pytest.raises(InvalidError, match="remote_gen"):
        c.numbers.remote(3)
    with pytest.raises(InvalidError, match="not a generator"):
        c.square.remote_gen(3)
    with pytest.raises(InvalidError, match="generator"):
        c.numbers.spawn(3)


def test_without_a_run_there_is_nothing_to_call() -> None:
    other = swell.App("other")
    function = other.function(serialized=True)(lambda: 1)
    for use in (function.remote, function.spawn, function.get_current_stats, lambda: list(function.map([1]))):
        with pytest.raises(ExecutionError, match=r"hydrated.*not running"):
            use()
    with pytest.raises(AttributeError):
        _ = function.object_id
    assert not function.is_hydrated


def test_after_a_run_its_functions_are_as_before_it() -> None:
    app = swell.App("short")
    function = app.function(serialized=True, name="one")(lambda: 1)
    with app.run():
        assert function.is_hydrated
        assert function.remote() == 1
    assert not function.is_hydrated
    assert app.app_id
    with pytest.raises(ExecutionError, match="not running"):
        function.remote()
    with app.run():
        assert function.remote() == 1


def test_an_app_runs_once_at_a_time() -> None:
    with pytest.raises(InvalidError, match="already running"):
        c.app.run()


# ---------------------------------------------------------------- in the container


def test_an_input_runs_on_the_main_thread_without_a_loop_and_knows_its_names() -> None:
    there = c.here.remote()
    assert there["main thread"]
    assert not there["loop"]
    assert not there["local"]
    assert swell.is_local()
    assert there["call"].startswith("fc-")
    assert there["input"].startswith("in-")
    assert there["container"].startswith("ta-")
    assert swell.current_input_id() is None
    assert swell.current_function_call_id() is None


def test_the_id_inside_is_that_of_the_call_outside() -> None:
    call = c.here.spawn()
    assert call.get()["call"] == call.object_id


def test_a_warm_container_is_used_again_with_its_state() -> None:
    first, second = c.count_up.remote(), c.count_up.remote()
    assert second == (first[0], first[1] + 1)


# ---------------------------------------------------------------- from containers


@pytest.mark.parametrize(
    ("function", "argument", "result"),
    [
        (c.calls_square, 3, 10),
        (c.maps_square, 5, [0, 1, 4, 9, 16]),
        (c.calls_async, 3, [9, 6, 0, 1, 4]),
        (c.streams, 3, [0, 1, 2]),
        (c.factorial, 6, 720),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_functions_call_functions(function: swell.Function[..., object], argument: int, result: object) -> None:
    assert function.remote(argument) == result


def test_a_call_spawned_in_a_container_is_the_callers() -> None:
    assert c.spawns.remote(6).get() == 36


def test_a_call_can_be_handed_to_a_container() -> None:
    assert c.gets.remote(c.square.spawn(5)) == 25


def test_handles_travel_as_arguments_and_in_closures() -> None:
    assert c.uses.remote(c.square, 4) == 16
    app = swell.App("closures")
    square = c.square

    def adds(x: int) -> int:
        return square.remote(x) + 1

    closure = app.function(serialized=True)(adds)
    with app.run():
        assert closure.remote(5) == 26


def test_a_container_may_run_another_app() -> None:
    assert c.runs_an_app.remote(7) == 21


def test_a_container_that_imports_may_not_run_an_app() -> None:
    """A script without a main guard is told to have one."""
    script = Path(__file__).parent / "apps" / "runs_itself_app.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"global scope.*__main__.* at the top level of the script$", done.stderr.splitlines()[-1])


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_may_have_closed_its_standard_streams(closed: str, tmp_path: Path) -> None:
    script, out = Path(__file__).parent / "apps" / "closed_app.py", tmp_path / "out"
    environ = {**os.environb, b"ODD": b"\xff"}  # and variables that are no text
    subprocess.run(["/bin/sh", "-c", f'exec "{sys.executable}" "{script}" "{out}" {closed}'], env=environ, check=True)
    assert out.read_text() == repr((1, b"\xff"))


async def test_a_run_has_an_async_form() -> None:
    app = swell.App("async")
    function = app.function(serialized=True, name="one")(lambda: 1)
    async with app.run() as running:
        assert running is app
        assert await function.remote.aio() == 1
    assert not function.is_hydrated


def test_web_functions_take_requests_not_calls() -> None:
    app = swell.App("web")

    @app.function(serialized=True, name="page")
    @swell.asgi_app()
    def page() -> None: ...

    class Site:
        @swell.asgi_app()
        def pages(self) -> None: ...

    site: Any = app.cls(serialized=True)(Site)
    with app.run():
        for handle, name in ((page, "page"), (site().pages, r"Site\.pages")):
            for use in (
                handle.remote,
                handle.spawn,
                lambda handle=handle: handle.remote_gen(),
                lambda handle=handle: list(handle.map([1])),
                lambda handle=handle: handle.for_each([1]),
            ):
                with pytest.raises(InvalidError, match=f"{name} is a webhook"):
                    use()


# ---------------------------------------------------------------- from threads and processes


def test_fifty_threads_call_at_once() -> None:
    barrier = threading.Barrier(50)

    def call(i: int) -> list[int]:
        barrier.wait()
        return [c.square.remote(i) for _ in range(5)]

    with ThreadPoolExecutor(50) as threads:
        assert list(threads.map(call, range(50))) == [[i * i] * 5 for i in range(50)]


def test_an_iteration_may_move_to_another_thread_while_this_one_calls() -> None:
    """As frameworks do that hand every step of an iteration to whichever thread is free."""
    results, values = c.square.map(range(3_000)), c.numbers.remote_gen(3_000)
    assert (next(results), next(values)) == (0, 0)
    with ThreadPoolExecutor(2) as threads:
        rest = threads.submit(list, results), threads.submit(list, values)
        calls = 0
        while not all(one.done() for one in rest):
            assert c.double.remote(calls) == 2 * calls
            calls += 1
    assert rest[0].result() == [i * i for i in range(1, 3_000)]
    assert rest[1].result() == list(range(1, 3_000))


def test_a_forked_client_has_connections_of_its_own() -> None:
    assert c.square.remote(2) == 4  # this thread's connection is open, and the children inherit it
    with multiprocessing.get_context("fork").Pool(3) as processes:
        assert processes.map(c.square.remote, range(30)) == [i * i for i in range(30)]
    assert c.square.remote(3) == 9


def test_a_forked_child_that_leaves_the_run_does_not_end_it() -> None:
    app = swell.App("forked")
    function = app.function(serialized=True, name="one")(lambda: 1)
    run = app.run()
    with run:
        assert function.remote() == 1
        child = multiprocessing.get_context("fork").Process(target=run.__exit__, args=(None, None, None))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert function.remote() == 1


def test_calls_within_a_map_share_its_thread() -> None:
    for y, x in zip(c.square.map(range(20)), range(20), strict=True):
        assert c.double.remote(x) == 2 * x
        assert y == x * x
