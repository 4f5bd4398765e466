"""Which input code works for, and whether it is inside a container."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from swell.wire import context


@pytest.fixture(autouse=True)
def no_container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(context._Process, "container", None)
    token = context.current.set(None)
    yield
    context.current.reset(token)


def test_outside_of_everything() -> None:
    assert context.is_local()
    assert context.current_input_id() is None
    assert context.current_function_call_id() is None
    assert context.function_id_here("f") is None
    with pytest.raises(RuntimeError, match="only inside a container"):
        context.stop_fetching()


def test_ids_are_derived_from_the_call() -> None:
    context.current.set(("fc-fc-1", 12))
    assert context.current_input_id() == "in-fc-1:12"
    assert context.current_function_call_id() == "fc-fc-1"


def test_another_thread_works_for_no_input() -> None:
    context.current.set(("fc-1", 0))
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(context.current_input_id()))
    thread.start()
    thread.join()
    assert seen == [None]


def test_inside_a_container_and_in_its_children() -> None:
    calls: list[int] = []
    context.enter_container(lambda: calls.append(1), {"f": "fu-1"})
    assert not context.is_local()
    assert context.function_id_here("f") == "fu-1"
    assert context.function_id_here("g") is None
    context.stop_fetching()
    assert calls == [1]
    child = os.fork()
    if child == 0:
        os._exit(0 if context.is_local() and context.function_id_here("f") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
