"""`map` and `starmap`, and the results that they return: no call is made until these are iterated over.

This module must not know how inputs are sent.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar, cast

from swell.errors import DeprecationError
from swell.sdk.calls.inputs import Source
from swell.sdk.connection.blocking import running_loop
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import check_loop, iterate

__all__ = ["MapForm", "MapResults"]

R = TypeVar("R")

Chunks = Callable[[Link], AsyncGenerator[list[Any], None]]
ReadInputs = Callable[[tuple[Any, ...], str], Source]


class MakeChunks(Protocol):
    """Makes a call of many inputs, and yields its results in lists."""

    def __call__(
        self, link: Link, source: Source, kwargs: dict[str, Any], *, order_outputs: bool, return_exceptions: bool
    ) -> AsyncGenerator[list[Any], None]: ...


class MapResults(Generic[R]):
    """Results of a map, for one `for` or `async for`. The call is made when the first result is requested."""

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
            self._iterator = iter(()) if self._started else _iterate(self._chunks, self._client)
            self._started = True
        return self._iterator

    def __next__(self) -> R:
        return next(iter(self))

    def __aiter__(self) -> AsyncIterator[R]:
        return self.stream()

    async def stream(self) -> AsyncGenerator[R, None]:
        """Iterate on the running event loop."""
        if self._started:
            return
        self._started = True
        async with aclosing(self._chunks(await self._client().loop_link())) as chunks:
            async for chunk in chunks:
                for value in chunk:
                    yield cast("R", value)

    def __del__(self) -> None:
        if not self._started:
            import logging

            logging.getLogger("swell").warning(
                "the results of %s() were not consumed, so nothing was run: iterate over them, or use .for_each()",
                self._name,
            )


def _iterate(chunks: Chunks, client: Callable[[], Client]) -> Iterator[Any]:
    # Not a method: a reference to `self` in its frame would keep both alive after a `break`, and with them the call.
    yield from iterate(client(), chunks)


class MapForm(Generic[R]):
    """`Function.map` or `Function.starmap`: `for y in f.map(xs)`, or `async for y in f.map.aio(xs)`."""

    __slots__ = ("_chunks", "_client", "_name", "_read")

    def __init__(self, chunks: MakeChunks, client: Callable[[], Client], name: str, read: ReadInputs) -> None:
        """Prepare.

        Args:
            chunks: makes the call and yields its results in lists.
            client: finds the client when iteration begins.
            name: for messages, such as "square.map".
            read: turns the user's iterables into argument tuples.
        """
        self._chunks = chunks
        self._client = client
        self._name = name
        self._read = read

    def __call__(
        self,
        *input_iterators: Any,
        kwargs: dict[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool | None = None,
    ) -> MapResults[R]:
        """Return the results, to be iterated over."""
        if wrap_returned_exceptions is not None:
            text = "wrap_returned_exceptions has no effect: exceptions are returned as they are"
            warnings.warn(text, DeprecationError, stacklevel=2)

        def chunks(link: Link) -> AsyncGenerator[list[Any], None]:
            return self._chunks(
                link,
                self._read(input_iterators, self._name),
                kwargs or {},
                order_outputs=order_outputs,
                return_exceptions=return_exceptions,
            )

        return MapResults(chunks, self._client, self._name)

    async def aio(self, *input_iterators: Any, **options: Any) -> AsyncGenerator[R, None]:
        """Iterate over the results without blocking the event loop; the arguments are those of the blocking form."""
        results: MapResults[R] = self(*input_iterators, **options)
        async with aclosing(results.stream()) as values:
            async for value in values:
                yield value
