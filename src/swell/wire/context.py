"""The input that the present code works for, and whether this process is a container.

The runner sets these, and the SDK reads them. Both stand above this module: it must know neither of them, nor any
socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol

from swell.ids import input_id

__all__ = [
    "Slots",
    "current",
    "current_function_call_id",
    "current_input_id",
    "enter_container",
    "function_id_here",
    "input_concurrency",
    "is_local",
    "own_function_id",
    "set_input_concurrency",
    "stop_fetching",
]

#: (call id, index) of the input that runs here; None outside an input. Local to a thread or an asyncio task.
current: Final[ContextVar[tuple[str, int] | None]] = ContextVar("swell_input", default=None)


class Slots(Protocol):
    """How many inputs a container runs at once."""

    def count(self) -> int:
        """Return how many inputs it may run, or how many it runs if those are more."""
        ...

    def resize(self, count: int) -> None:
        """Change that number to `count` from now on; running inputs are not interrupted."""
        ...


class _Container(NamedTuple):
    pid: int
    stop_fetching: Callable[[], None]
    function_ids: Mapping[str, str]
    own_function_id: str
    slots: Slots | None


class _Process:
    """The container that this process is, if any; a child process inherits it, but has another pid."""

    container: _Container | None = None


def enter_container(
    stop_fetching: Callable[[], None],
    function_ids: Mapping[str, str],
    own_function_id: str = "",
    slots: Slots | None = None,
) -> None:
    """Declare this process a container.

    Args:
        stop_fetching: makes it take no more inputs.
        function_ids: ids of the app's functions by name, so that the user's code can call them from here.
        own_function_id: id of the pool that this container belongs to, which may be that of a variant.
        slots: reads and changes how many inputs it runs at once; None while it cannot get any.
    """
    _Process.container = _Container(os.getpid(), stop_fetching, function_ids, own_function_id, slots)


def _container_here() -> _Container | None:
    container = _Process.container
    return container if container is not None and container.pid == os.getpid() else None


def function_id_here(name: str) -> str | None:
    """Return the id of a function of the app that this container belongs to; None elsewhere."""
    container = _container_here()
    return None if container is None else container.function_ids.get(name)


def own_function_id() -> str:
    """Return the id of the pool that this container belongs to; "" elsewhere."""
    container = _container_here()
    return "" if container is None else container.own_function_id


def is_local() -> bool:
    """Return False only in the process of a container; its child processes count as local."""
    return _container_here() is None


def current_input_id() -> str | None:
    """Return the id of the input that runs here; None outside an input. In a batch, the id of its first input."""
    here = current.get()
    return None if here is None else input_id(*here)


def current_function_call_id() -> str | None:
    """Return the id of the call whose input runs here; None outside an input."""
    here = current.get()
    return None if here is None else here[0]


def stop_fetching() -> None:
    """Make this container finish its inputs and leave.

    Raises:
        RuntimeError: this process is not a container.
    """
    container = _container_here()
    if container is None:
        raise RuntimeError("stop_fetching_inputs() works only inside a container that runs a Function")
    container.stop_fetching()


def input_concurrency() -> int:
    """Return how many inputs this container may run at once, or how many it runs if those are more.

    Raises:
        RuntimeError: this process is not a container.
    """
    return _slots("get_local_input_concurrency").count()


def set_input_concurrency(concurrency: int) -> None:
    """Set how many inputs this container runs at once, whatever its pool needs; running inputs are not interrupted.

    Args:
        concurrency: at least 1; more than the Function's `max_inputs` means `max_inputs`.

    Raises:
        RuntimeError: this process is not a container.
        InvalidError: `concurrency` is not an int of at least 1.
    """
    _slots("set_local_input_concurrency").resize(concurrency)


def _slots(asked: str) -> Slots:
    container = _container_here()
    if container is None or container.slots is None:
        raise RuntimeError(f"{asked}() works only inside a container that runs a Function")
    return container.slots
