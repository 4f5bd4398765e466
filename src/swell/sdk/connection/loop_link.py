"""A link for one event loop: any number of coroutines share it. This module must not know what messages mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import cast

from swell.errors import Error
from swell.sdk.connection.link import Link, Mailbox, Received, connect, how_it_broke
from swell.wire import codec
from swell.wire.messages import Message

__all__ = ["LoopLink"]


class LoopLink(Link, asyncio.Protocol):
    """A link whose waits suspend the coroutine. Made by `connect`."""

    def __init__(self, frame_max: int) -> None:
        super().__init__(frame_max)
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[Mailbox, asyncio.Future[None]] = {}
        self._end_of_loop = self._shut_with_loop()

    @classmethod
    async def connect(cls, address: str, token: str, frame_max: int) -> LoopLink:
        """Connect to a server from the running event loop.

        Raises:
            ConnectionError: no server listens there.
        """
        endpoint = connect(address)
        endpoint.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: cls(frame_max), sock=endpoint)
        await anext(link._end_of_loop)
        await link._greet(token)
        return link

    async def _shut_with_loop(self) -> AsyncGenerator[None, None]:
        """Wait for ever. A loop that ends closes its async generators, and this one then closes the connection."""
        try:
            yield
        finally:
            self.shut()

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message; bytes that the kernel does not take at once are kept and sent later."""
        if self.broken is not None or self._transport is None:
            raise self._break("the server is gone")
        self._transport.write(codec.encode(message, payload))

    async def receive(self, mailbox: Mailbox, until: float | None = None) -> Received:
        """Return the next message in a mailbox."""
        while not mailbox.messages:
            if self.broken is not None:
                raise self.broken
            await self._wait(mailbox, until)
        return mailbox.messages.popleft()

    def wake(self, mailbox: Mailbox) -> None:
        """Make `changed` return, for a caller that waits for other events as well."""
        future = self._waiting.get(mailbox)
        if future is not None and not future.done():
            future.set_result(None)

    async def changed(self, mailbox: Mailbox, until: float | None = None) -> None:
        """Return when the mailbox has a message, or after `wake`, or at a time of `time.monotonic()`."""
        if not mailbox.messages and self.broken is None:
            try:
                await self._wait(mailbox, until)
            except TimeoutError:
                return

    def poll(self) -> None:
        """Do nothing: the event loop reads."""

    def shut(self) -> None:
        """Close the connection."""
        self._break("the connection was closed on this side")
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def data_received(self, data: bytes) -> None:
        """Sort the messages in `data`, and wake the coroutines that wait for them."""
        try:
            served = self._sort(data)
        except Error:
            self._wake(list(self._waiting))  # `broken` says why
            self.shut()
        else:
            self._wake(served)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every coroutine that waits."""
        self._break(how_it_broke(exc) if isinstance(exc, OSError) else "the server is gone")
        self._wake(list(self._waiting))

    # ------------------------------------------------------------ inside

    def _wake(self, mailboxes: list[Mailbox]) -> None:
        for mailbox in mailboxes:
            self.wake(mailbox)

    async def _wait(self, mailbox: Mailbox, until: float | None) -> None:
        future = self._waiting[mailbox] = asyncio.get_running_loop().create_future()
        try:
            if until is None:
                await future
            else:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    await future
        finally:
            del self._waiting[mailbox]
