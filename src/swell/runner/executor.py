"""Executors: which of the three ways of running inputs a container uses.

This module must not know how any of them works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from swell.runner.hooks import HookCaller
from swell.runner.leases import Leases
from swell.runner.serial import SerialExecutor
from swell.runner.slot import SlotContext

if TYPE_CHECKING:
    from swell.runner.loop import Web

__all__ = ["Executor", "choose_executor"]


class Executor(Protocol):
    """Runs the inputs that the server delivers."""

    def run(self) -> None:
        """Run inputs on the main thread until the container has drained or is interrupted."""
        ...

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        ...


def choose_executor(
    context: SlotContext,
    hooks: HookCaller,
    *,
    is_async: bool,
    max_inputs: int,
    web: Web | None = None,
    leases: Leases | None = None,
) -> Executor:
    """Return the executor for these callables: an event loop if one is async, threads if inputs run concurrently.

    Args:
        context: What slots share.
        hooks: Owns the event loop.
        is_async: True if a callable needs an event loop.
        max_inputs: How many inputs may run at the same time.
        web: What serves HTTP in this container, if anything does; it needs an event loop.
        leases: The clients that send calls straight here, if any do; they need the executor of serial inputs.
    """
    assert leases is None or not (is_async or max_inputs > 1), "no lease is granted on such a container"
    if is_async:
        from swell.runner.loop import LoopExecutor  # brings asyncio

        return LoopExecutor(context, hooks.loop, max_inputs, web)
    if max_inputs > 1:
        from swell.runner.threads import ThreadExecutor

        return ThreadExecutor(context, max_inputs)
    return SerialExecutor(context, leases)
