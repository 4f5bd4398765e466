"""Which way of running inputs a container uses.

This module must not know how any of them works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from swell.runner.hooks import HookCaller
from swell.runner.serial import SerialExecutor
from swell.runner.slot import Workbench

if TYPE_CHECKING:
    from swell.runner.loop import Web

__all__ = ["Executor", "choose_executor"]


class Executor(Protocol):
    """Runs what is delivered."""

    def run(self) -> None:
        """Serve on the main thread until the container has drained, or is interrupted."""
        ...

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        ...


def choose_executor(
    bench: Workbench, hooks: HookCaller, *, is_async: bool, max_inputs: int, web: Web | None = None
) -> Executor:
    """Return the executor for these callables: a loop if any is async, threads if several run at once.

    Args:
        bench: What the executor needs.
        hooks: Owner of the loop.
        is_async: True if anything needs a loop.
        max_inputs: How many inputs may run at once.
        web: Where the container answers HTTP, if it does; that needs a loop.
    """
    if is_async:
        from swell.runner.loop import LoopExecutor  # brings asyncio

        return LoopExecutor(bench, hooks.loop, max_inputs, web)
    if max_inputs > 1:
        from swell.runner.threads import ThreadExecutor

        return ThreadExecutor(bench, max_inputs)
    return SerialExecutor(bench)
