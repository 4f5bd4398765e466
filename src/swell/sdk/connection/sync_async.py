"""Two forms of one implementation: a coroutine that uses a Link is also a blocking function.

This module must not know which messages a link carries.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from inspect import Signature, signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from swell.config import Settings
from swell.errors import AsyncUsageWarning, InvalidError
from swell.sdk.connection.blocking import run_blocking, run_chunks, running_loop
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link

__all__ = ["Prepared", "SyncAsync", "SyncAsyncIterator", "check_loop", "iterate"]

P = ParamSpec("P")
R = TypeVar("R")


class SyncAsync(Generic[P, R]):
    """A callable with an `.aio` form. `f(…)` blocks; `await f.aio(…)` does the same on the caller's event loop."""

    __slots__ = ("_client", "_implementation", "_name", "_refuse")

    def __init__(
        self,
        implementation: Callable[Concatenate[Link, P], Coroutine[Any, Any, R]],
        client: Callable[[], Client],
        name: str,
        *,
        refuse: bool = False,
    ) -> None:
        """Bind.

        Args:
            implementation: the coroutine function; its first argument is the link.
            client: finds the client when the call is made.
            name: for messages, such as "square.remote".
            refuse: raise instead of warning if the blocking form is called inside an event loop.
        """
        self._implementation = implementation
        self._client = client
        self._name = name
        self._refuse = refuse

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it and wait for the result."""
        if running_loop():
            check_loop(self._name, refuse=self._refuse)
        client = self._client()
        return run_blocking(self._implementation(client.blocking_link(), *args, **kwargs))

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it without blocking the event loop."""
        return await self._implementation(await self._client().loop_link(), *args, **kwargs)


class Prepared(Generic[P, R]):
    """A callable with an `.aio` form, made of a function that checks its arguments and returns a SyncAsync without any.

    For methods with an argument that decides how the server is reached. Help and signature are those of the function.
    """

    def __init__(self, prepare: Callable[P, SyncAsync[[], R]]) -> None:
        self._prepare = prepare
        self.__wrapped__ = prepare
        self.__doc__ = prepare.__doc__

    @property
    def __signature__(self) -> Signature:
        """That of the function, but with what a call returns in the end."""
        found = signature(self._prepare)
        result = str(found.return_annotation).removeprefix("SyncAsync[[], ").removesuffix("]")
        return found.replace(return_annotation=result)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it and wait for the result."""
        return self._prepare(*args, **kwargs)()

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do it without blocking the event loop."""
        return await self._prepare(*args, **kwargs).aio()


class SyncAsyncIterator(Generic[P, R]):
    """As `SyncAsync`, for an async generator: `for x in f(…)`, `async for x in f.aio(…)`.

    The implementation yields lists; both forms yield their items one by one.
    """

    __slots__ = ("_chunks", "_client", "_name")

    def __init__(
        self, chunks: Callable[..., AsyncGenerator[list[R], None]], client: Callable[[], Client], name: str
    ) -> None:
        """Bind; the arguments are those of `SyncAsync`."""
        self._chunks = chunks
        self._client = client
        self._name = name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        """Iterate, blocking the thread while waiting."""
        if running_loop():
            check_loop(self._name, refuse=False)
        return iterate(self._client(), lambda link: self._chunks(link, *args, **kwargs))

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        """Iterate without blocking the event loop."""
        async with aclosing(self._chunks(await self._client().loop_link(), *args, **kwargs)) as chunks:
            async for chunk in chunks:
                for item in chunk:
                    yield item


def iterate(client: Client, chunks: Callable[[Link], AsyncGenerator[list[R], None]]) -> Iterator[R]:
    """Iterate over the items of yielded lists, blocking the thread while waiting; any thread may continue."""
    with client.lent_link() as link:
        yield from run_chunks(chunks(link))


def check_loop(name: str, *, refuse: bool) -> None:
    """Refuse, or warn of, a blocking call inside an event loop.

    Raises:
        InvalidError: if `refuse`; otherwise it is a warning.
    """
    advice = f"{name}() blocks the event loop it is called from; use {name}.aio(…) there"
    if refuse:
        raise InvalidError(advice)
    if Settings.load().async_warnings:
        warnings.warn(f"{advice} (SWELL_ASYNC_WARNINGS=0 turns this warning off)", AsyncUsageWarning, stacklevel=3)
