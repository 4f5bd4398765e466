"""The inputs of a map: the user's iterables as a stream of argument tuples.

Iterables are read in the caller's thread or loop, and only as far as inputs may be sent. This module must not know
calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from swell.errors import InvalidError
from swell.sdk.connection.blocking import running_loop

if TYPE_CHECKING:
    import asyncio

    from swell.sdk.connection.link import Mailbox

__all__ = ["NOT_YET", "Arguments", "AsyncInputs", "Inputs", "Source", "starred", "zipped"]

Arguments = tuple[Any, ...]
Source = Iterator[Arguments] | AsyncIterator[Arguments]

#: What `take` returns while an asynchronous iterable has no item ready.
NOT_YET: Final = object()


def zipped(iterables: tuple[Any, ...], name: str) -> Source:
    """Return the argument tuples of `map(*iterables)`, ending with the shortest.

    Raises:
        InvalidError: there is no iterable.
        TypeError: an argument is not iterable; names its position.
    """
    if not iterables:
        raise InvalidError(f"{name}() needs at least one iterable of inputs; without one it would never end")
    for position, iterable in enumerate(iterables):
        if not isinstance(iterable, (Iterable, AsyncIterable)) and not hasattr(iterable, "__getitem__"):
            raise TypeError(
                f"{name}() argument {position + 1} is a {type(iterable).__name__}, which is not iterable; "
                "constant arguments go into kwargs={…}"
            )
    if any(isinstance(iterable, AsyncIterable) for iterable in iterables):
        return _zip_async(iterables)
    return zip(*iterables, strict=False)


def starred(iterables: tuple[Any, ...], name: str) -> Source:
    """Return the argument tuples of `starmap(iterable)`; an item that is not a sequence fails when it is called.

    Raises:
        TypeError: there is not exactly one iterable.
    """
    if len(iterables) != 1:
        raise TypeError(f"{name}() takes one iterable of argument sequences, not {len(iterables)}")
    iterable = iterables[0]
    if isinstance(iterable, AsyncIterable):
        return (_star(item) async for item in cast("AsyncIterable[Any]", iterable))
    if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
        raise TypeError(f"{name}() argument is a {type(iterable).__name__}, which is not iterable")
    return map(_star, cast("Iterable[Any]", iterable))


def _star(item: Any) -> Any:
    return tuple(cast("Iterable[Any]", item)) if isinstance(item, Iterable) else item  # its call fails, and no other


async def _zip_async(iterables: tuple[Any, ...]) -> AsyncIterator[Arguments]:
    iterators: list[Any] = [it.__aiter__() if isinstance(it, AsyncIterable) else iter(it) for it in iterables]
    end = object()
    while True:
        values: list[Any] = []
        for iterator in iterators:
            if isinstance(iterator, AsyncIterator):
                value: Any = await anext(cast("AsyncIterator[Any]", iterator), end)
            else:
                value = next(iterator, end)
            if value is end:
                return
            values.append(value)
        yield tuple(values)


class Inputs:
    """An iterator of arguments; an asynchronous one runs on an event loop of its own, for a blocking caller."""

    def __init__(self, source: Iterator[Arguments] | AsyncIterator[Arguments]) -> None:
        self._source = source
        self._runner: asyncio.Runner | None = None
        self.take = self._start()

    def _start(self) -> Any:
        """Return the function that returns the next arguments, or raises StopIteration."""
        if isinstance(self._source, AsyncIterator):
            import asyncio

            self._runner = asyncio.Runner()
            return self._take_async
        return self._source.__next__

    def _take_async(self) -> Arguments:
        runner, source = self._runner, self._source
        assert runner is not None and isinstance(source, AsyncIterator)
        end: Any = object()
        value = runner.run(_next(source, end))
        if value is end:
            raise StopIteration
        return value

    def close(self) -> None:
        """Close the iterator, so that a generator's `finally` runs."""
        if self._runner is not None:
            self._runner.close()
        close = getattr(self._source, "close", None)
        if close is not None and not running_loop():
            close()


async def _next(source: AsyncIterator[Any], end: Any) -> Any:
    value: Any = await anext(source, end)
    return value


class AsyncInputs:
    """An asynchronous iterator of arguments, read by a task beside the map on the same event loop."""

    AHEAD = 64  #: inputs read before the map takes them

    def __init__(self, source: AsyncIterator[Arguments], wake: Callable[[Mailbox], None], mailbox: Mailbox) -> None:
        import asyncio

        self._ready: asyncio.Queue[Arguments] = asyncio.Queue(self.AHEAD)
        self._wake = lambda: wake(mailbox)
        self._feeder = asyncio.ensure_future(self._feed(source))

    async def _feed(self, source: AsyncIterator[Arguments]) -> None:
        try:
            async for arguments in source:
                await self._ready.put(arguments)
                self._wake()
        finally:
            self._wake()
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def take(self) -> Any:
        """Return the next arguments or NOT_YET; raise StopIteration, or what the iterable raised."""
        if not self._ready.empty():
            return self._ready.get_nowait()
        if not self._feeder.done():
            return NOT_YET
        self._feeder.result()
        raise StopIteration

    def close(self) -> None:
        """Stop reading the iterator."""
        self._feeder.cancel()
