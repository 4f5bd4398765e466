"""What `map` and `starmap` return: results that are not asked for until they are iterated over.

This module must not know how inputs are sent.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Generic, TypeVar, cast

from swell.sdk.blocking import run_chunks, running_loop
from swell.sdk.client import Client
from swell.sdk.dual import check_loop
from swell.sdk.link import Link

__all__ = ["Results"]

R = TypeVar("R")

Chunks = Callable[[Link], AsyncGenerator[list[Any], None]]


class Results(Generic[R]):
    """Results of a map, for one `for` or `async for`. No call is made before the first is asked for."""

    def __init__(self, chunks: Chunks, client: Callable[[], Client], name: str) -> None:
        """Prepare.

        Args:
            chunks: makes the call over a link and yields its results in lists.
            client: finds the client when iteration begins.
            name: for messages, such as "square.map".
        """
        self._chunks = chunks
        self._client = client
        self._name = name
        self._started = False
        self._iterator: Iterator[R] | None = None

    def __iter__(self) -> Iterator[R]:
        if running_loop():
            self._started = True
            check_loop(self._name, refuse=True)
        if self._iterator is None:
            self._iterator = self._blocking()
        return self._iterator

    def __next__(self) -> R:
        return next(iter(self))

    async def __aiter__(self) -> AsyncIterator[R]:
        if self._started:
            return
        self._started = True
        async with aclosing(self._chunks(await self._client().loop_link())) as chunks:
            async for chunk in chunks:
                for value in chunk:
                    yield cast("R", value)

    def _blocking(self) -> Iterator[R]:
        if not self._started:
            self._started = True
            yield from run_chunks(self._chunks(self._client().blocking_link()))

    def __del__(self) -> None:
        if not self._started:
            logging.getLogger("swell").warning(
                "the results of %s() were not consumed, so nothing was run: iterate over them, or use .for_each()",
                self._name,
            )
