"""Cancellation: what stops, what survives, what runs again, by the way a function runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cancel_app import (
    Blocked,
    Cleaned,
    app,
    batch,
    batch_again,
    blocked_threads,
    generates,
    resists,
    slow,
    swallows,
    sync,
    tasked,
    tasks,
    threads,
    will_not_stop,
)
from programs import Programs

import swell
from swell.exception import RemoteError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, cancel_grace_s=0.5)


def cancelled(call: swell.FunctionCall[Any]) -> bool:
    call.cancel()
    with pytest.raises(RemoteError, match="cancelled"):
        call.get()
    return True


# ---------------------------------------------------------------- one input at a time


@pytest.mark.nodes
def test_sync_code_gets_an_exception_and_its_container_goes_on(board: ModuleType) -> None:
    pid = sync.remote(0)
    call = sync.spawn(-1)
    board.wait_for_note("begin -1")
    assert cancelled(call)
    assert sync.remote(0) == pid
    assert board.notes("stopped") == ["InputCancellation True"]
    assert not issubclass(swell.exception.InputCancellation, Exception)


@pytest.mark.nodes
def test_async_code_gets_an_exception_and_its_container_goes_on(board: ModuleType) -> None:
    pid = tasked.remote(0)
    call = tasked.spawn(-1)
    board.wait_for_note("begin -1")
    assert cancelled(call)
    assert tasked.remote(0) == pid
    assert board.notes("stopped") == ["CancelledError"]


def test_swallowing_it_does_not_hang_the_container(board: ModuleType) -> None:
    pid = swallows.remote(0)
    call = swallows.spawn(-1)
    board.wait_for_note("begin -1")
    assert cancelled(call)
    assert swallows.remote(0) == pid
    assert board.notes("swallowed") == [""]


@pytest.mark.parametrize("function", [resists, will_not_stop], ids=["sync", "async"])
def test_code_that_will_not_stop_loses_its_container_after_a_grace(
    board: ModuleType, function: swell.Function[..., Any]
) -> None:
    pid = function.remote(0)
    call = function.spawn(-1)
    board.wait_for_note("begin -1")
    assert cancelled(call)
    assert function.remote(0) != pid
    assert "swallowed" in board.notes()


def test_what_waits_never_begins(board: ModuleType) -> None:
    running = sync.spawn(-1)
    board.wait_for_note("begin -1")
    waiting = [sync.spawn(x) for x in (1, 2)]
    assert cancelled(waiting[0])
    assert cancelled(running)
    assert waiting[1].get() > 0
    assert board.notes("begin") == ["-1", "2"]


@pytest.mark.nodes
def test_a_generator_is_stopped_where_it_is(board: ModuleType) -> None:
    values = generates.remote_gen(1)
    assert next(values) == 1
    values.close()
    board.wait_for_count("stopped")
    assert board.notes("stopped") in (["InputCancellation"], ["GeneratorExit"])


def test_all_inputs_of_a_call_are_cancelled_and_none_is_retried(board: ModuleType) -> None:
    call = slow.spawn_map(range(1, 9))
    board.wait_for_count("begin", 2)
    call.cancel()
    for index in range(8):
        with pytest.raises(RemoteError):
            call.get(index=index)
    assert slow.remote(0) == 0
    assert len(board.notes("begin")) == 3


def test_cancelling_what_is_over_changes_nothing(board: ModuleType) -> None:
    call = sync.spawn(0)
    pid = call.get()
    call.cancel()
    assert call.get() == pid


# ---------------------------------------------------------------- several at a time


def test_a_task_is_cancelled_alone(board: ModuleType) -> None:
    call, sibling = tasks.spawn(-1), tasks.spawn(1)
    board.wait_for_note("begin -1", "begin 1")
    assert cancelled(call)
    board.give("go")
    assert sibling.get() == tasks.remote(2)
    assert board.notes("begin") == ["-1", "1", "2"] or board.notes("begin") == ["1", "-1", "2"]


def test_a_thread_that_runs_python_is_cancelled_alone(board: ModuleType) -> None:
    call, sibling = threads.spawn(-1), threads.spawn(1)
    board.wait_for_note("begin -1", "begin 1")
    assert cancelled(call)
    board.give("go")
    assert sibling.get() == threads.remote(2)
    assert sorted(board.notes("begin")) == ["-1", "1", "2"]


def test_a_thread_that_is_blocked_costs_the_container_and_siblings_run_elsewhere(board: ModuleType) -> None:
    call, sibling = blocked_threads.spawn(-1), blocked_threads.spawn(1)
    board.wait_for_note("begin -1 0", "begin 1 0")
    assert cancelled(call)
    board.wait_for_note("begin 1 1")  # again, though it has no retries
    board.give("go")
    assert sibling.get()[1] == 1


def test_such_a_container_runs_its_exit_hooks(board: ModuleType) -> None:
    call = Blocked().run.spawn(-1)
    board.wait_for_note("begin -1")
    assert cancelled(call)
    assert Blocked().run.remote(1) == 1
    board.wait_for_count("exit", 1)


@pytest.mark.nodes
def test_containers_can_be_ended_at_once_and_siblings_run_elsewhere(board: ModuleType) -> None:
    call, sibling = blocked_threads.spawn(-1), blocked_threads.spawn(1)
    board.wait_for_note("begin -1 0", "begin 1 0")
    call.cancel(terminate_containers=True)
    with pytest.raises(RemoteError):
        call.get()
    board.wait_for_note("begin 1 1")
    board.give("go")
    assert sibling.get()[1] == 1


def test_a_whole_batch_is_stopped_and_those_not_cancelled_run_again(board: ModuleType) -> None:
    call = batch_again.spawn(-1)
    siblings = [batch_again.spawn(x) for x in (1, 2)]
    board.wait_for_note("batch -1 1 2")
    assert cancelled(call)
    assert [sibling.get() for sibling in siblings] == [1, 2]
    assert board.notes("batch") == ["-1 1 2", "1 2"]


def test_a_batch_of_one_call_ends_as_cancelled(board: ModuleType) -> None:
    call = batch.spawn_map([-1, 1, 2])
    board.wait_for_note("batch -1 1 2")
    call.cancel()
    for index in range(3):
        with pytest.raises(RemoteError):
            call.get(index=index)
    board.wait_for_note("stopped InputCancellation")


def test_a_waiting_input_leaves_a_batch_before_it_is_full(board: ModuleType) -> None:
    gone, *stay = [batch.spawn(x) for x in (1, 2)]
    assert cancelled(gone)
    stay += [batch.spawn(x) for x in (3, 4)]
    assert [call.get() for call in stay] == [2, 3, 4]
    assert board.notes("batch") == ["2 3 4"]


# ---------------------------------------------------------------- callers that leave


def test_a_map_that_is_abandoned_is_cancelled(board: ModuleType) -> None:
    for _ in slow.map([0, *range(1, 50)]):
        break
    assert slow.remote(0) == 0  # a container is free again
    assert len(board.notes("begin")) <= 5


def test_calls_of_a_client_that_dies_are_cancelled(board: ModuleType, programs: Programs) -> None:
    program = "from cancel_app import app, Cleaned\nwith app.run():\n    Cleaned().run.remote()"
    apps = str(Path(__file__).parent / "apps")
    client = programs.start([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": apps}, cwd=apps)
    board.wait_for_note("begin 1")
    client.kill()
    client.wait()
    assert Cleaned().pid.remote() > 0
