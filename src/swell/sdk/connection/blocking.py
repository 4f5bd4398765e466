"""Running coroutines without an event loop.

A coroutine of the SDK awaits its link only. With a `BlockingLink`, which waits inside the call, it runs from start to
end without suspending, in the caller's thread. This module must not know which messages a link carries.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, Final, TypeVar

__all__ = ["SIGNAL_CHECK_S", "run_blocking", "run_chunks", "running_loop"]

R = TypeVar("R")

#: How long a wait in the kernel may delay the handling of a signal. A signal does not end the wait if it comes just
#: before the wait begins, or if another thread receives it: Ctrl-C would then take effect with the next message only.
SIGNAL_CHECK_S: Final = 0.5


def running_loop() -> bool:
    """Tell whether the caller is inside an event loop, without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def run_blocking(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that awaits a BlockingLink only."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("a blocking call suspended: it awaited something other than its link")


def run_chunks(chunks: AsyncGenerator[list[R], None]) -> Generator[R, None, None]:
    """Iterate over the items of the lists that an async generator yields; it awaits a BlockingLink only."""
    try:
        while True:
            try:
                chunks.__anext__().send(None)
            except StopIteration as stop:
                yield from stop.value
            except StopAsyncIteration:
                return
            else:
                raise AssertionError("a blocking iteration suspended: it awaited something other than its link")
    finally:
        run_blocking(_close(chunks))


async def _close(chunks: AsyncGenerator[Any, None]) -> None:
    await chunks.aclose()
