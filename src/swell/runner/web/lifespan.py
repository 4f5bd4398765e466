"""Lifespan: what an ASGI app does before its first request and after its last.

This module must not know requests, or when the container starts and shuts down.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from swell.errors import ExecutionError
from swell.runner.web.middleware import AsgiApp

__all__ = ["Lifespan"]

_ANSWERS: Final = frozenset(
    f"lifespan.{order}.{end}" for order in ("startup", "shutdown") for end in ("complete", "failed")
)
_REASON_S: Final = 1.0  #: how long an app that has reported its failure may take to raise the reason


class Lifespan:
    """The lifespan of one app. In that of an app without support for it, nothing happens.

    Attributes:
        state: Of the app, for its requests; each gets a shallow copy.
    """

    def __init__(self, app: AsgiApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._failure: str | None = None  # in the app's words
        self._is_supported = False  # the app has received an order
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the app, and wait until it has started.

        Raises:
            ExecutionError: it failed.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._order("startup", self._task)

    async def stop(self) -> None:
        """Stop the app, and wait until it has stopped.

        Raises:
            ExecutionError: it failed.
        """
        if self._task is not None and self._is_supported:
            await self._order("shutdown", self._task)

    async def _order(self, order: str, task: asyncio.Task[None]) -> None:
        self._answered.clear()
        self._orders.put_nowait(order)
        answered = asyncio.ensure_future(self._answered.wait())
        await asyncio.wait((answered, task), return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        if self._failure is not None:
            await asyncio.wait([task], timeout=_REASON_S)
        reason = task.exception() if task.done() and not task.cancelled() else None
        if self._is_supported and (self._failure is not None or reason is not None):
            told = f"{type(reason).__name__}: {reason}" if reason is not None else self._failure or "no reason is given"
            raise ExecutionError(f"lifespan {order} failed: {told}") from reason

    # ------------------------------------------------------------ the app's side

    async def _run(self) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        await self._app({"type": "lifespan", "asgi": asgi, "state": self.state}, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        order = await self._orders.get()
        self._is_supported = True
        return {"type": f"lifespan.{order}"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = str(message["type"])
        if kind not in _ANSWERS:
            self._is_supported = False  # the app takes every scope for a request
            raise RuntimeError(f"{kind!r} has no place in a lifespan")
        if kind.endswith(".failed"):
            self._failure = str(message.get("message", "")).strip()
        self._answered.set()
