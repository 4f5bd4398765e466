"""Retrying: repeats a request if its connection breaks because the server restarts.

Only for requests that may be made twice without harm: queries, and spawns whose call id stays the same. Retries end
after about ten seconds; with a private server there are none. This module must not know what is requested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from swell.errors import ConnectionError
from swell.sdk.connection.blocking import run_blocking, running_loop
from swell.sdk.connection.client import Client, mint_call_id
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import check_loop

__all__ = ["RetryState", "Retrying"]

P = ParamSpec("P")
R = TypeVar("R")

PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, *(1.0,) * 8)  #: about ten seconds in all: more than a restart takes


class RetryState:
    """The attempts of one request to the server of `client`."""

    __slots__ = ("attempts", "began", "call_id", "client")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.began = time.monotonic()
        self.attempts = 0  #: failed attempts before this one
        self.call_id = ""

    def mint_call_id(self) -> str:
        """Return the id of the call that the request makes, the same in every attempt."""
        self.call_id = self.call_id or mint_call_id()
        return self.call_id

    def pause_s(self) -> float | None:
        """Return how long to wait before the next attempt; None if there is none."""
        if not self.client.stays or self.attempts >= len(PAUSES_S):
            return None
        self.attempts += 1
        return PAUSES_S[self.attempts - 1]


class Retrying(Generic[P, R]):
    """As `SyncAsync`, for an implementation that takes a `RetryState` after its link, and may be called again."""

    __slots__ = ("_client", "_implementation", "_is_shared", "_name")

    def __init__(
        self,
        implementation: Callable[Concatenate[Link, RetryState, P], Coroutine[Any, Any, R]],
        client: Callable[[], Client],
        name: str,
        *,
        is_shared: bool = False,
    ) -> None:
        """Bind; the arguments are those of `SyncAsync`. If `is_shared`, all threads use one link for it."""
        self._implementation = implementation
        self._client = client
        self._name = name
        self._is_shared = is_shared

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make the request and wait for its result."""
        if running_loop():
            check_loop(self._name, refuse=False)
        client = self._client()
        retry = RetryState(client)
        while True:
            try:
                link = client.shared_link() if self._is_shared else client.blocking_link()
                return run_blocking(self._implementation(link, retry, *args, **kwargs))
            except ConnectionError:
                pause_s = retry.pause_s()
                if pause_s is None:
                    raise
            time.sleep(pause_s)

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make the request without blocking the event loop."""
        import asyncio

        client = self._client()
        retry = RetryState(client)
        while True:
            try:
                return await self._implementation(await client.loop_link(), retry, *args, **kwargs)
            except ConnectionError:
                pause_s = retry.pause_s()
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)
