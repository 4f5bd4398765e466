"""A link for one event loop: any number of coroutines share it.

Where others wait for answers already, what is sent is written with all that is sent in the same pass of the loop: to
write 64 messages costs little more than to write one. This module must not know what messages mean.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from swell.errors import ConnectionError, Error
from swell.sdk.connection.link import Link, Mailbox, Received, connect_here, how_it_broke, is_elsewhere
from swell.sdk.connection.loop_lease import LoopLeases
from swell.wire import codec
from swell.wire.messages import Message
from swell.wire.shelf import Shelf

if TYPE_CHECKING:
    from swell.link.certificate import TlsAddress

__all__ = ["LoopLink"]

R = TypeVar("R")

READ_BYTES: Final = 64 << 10  #: of one read
ALONE_BYTES: Final = 64 << 10  #: a frame of so many bytes is written by itself, so that it is not copied


class LoopLink(Link, asyncio.BufferedProtocol):
    """A link whose waits suspend the coroutine. Made by `connect`."""

    def __init__(self, frame_max: int, shelf: Shelf | None = None) -> None:
        super().__init__(frame_max, shelf)
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[Mailbox, asyncio.Future[None]] = {}
        self._unwritten: list[bytes] = []  # frames that are written at the end of this pass of the loop
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._loop = asyncio.get_running_loop()
        self._end_of_loop = self._shut_with_loop()

    @classmethod
    async def connect(cls, address: str, token: str, frame_max: int, shelf: Shelf | None = None) -> LoopLink:
        """Connect to a server from the running event loop. The arguments are those of `BlockingLink.connect`.

        Raises:
            ConnectionError: no server listens there.
            AuthError: another server than the one with that address does.
        """
        if is_elsewhere(address):
            link = await cls._connect_elsewhere(address, frame_max, shelf)
        else:
            link = await cls._connect_here(address, frame_max)
        await anext(link._end_of_loop)
        await link._greet(token)
        if link.is_beside_containers:
            link.leases = LoopLeases(frame_max, link._loop)
        return link

    @classmethod
    async def _connect_here(cls, address: str, frame_max: int) -> LoopLink:
        endpoint = connect_here(address)
        endpoint.setblocking(False)
        _, link = await asyncio.get_running_loop().create_unix_connection(lambda: cls(frame_max), sock=endpoint)
        return link

    @classmethod
    async def _connect_elsewhere(cls, text: str, frame_max: int, shelf: Shelf | None) -> LoopLink:
        from swell.link.certificate import MESSAGES, TlsAddress, client_context  # loads TLS
        from swell.sdk.connection.tls_socket import CONNECT_S, open_tcp

        address = TlsAddress.parse(text)
        try:
            plain = await asyncio.to_thread(open_tcp, address)
            plain.setblocking(False)
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: _PinnedLoopLink(address, frame_max, shelf),
                sock=plain,
                ssl=client_context(MESSAGES),
                server_hostname="swell",
                ssl_handshake_timeout=CONNECT_S,
            )
        except OSError as error:
            raise ConnectionError(f"no server of swell answers at {text}: {error.strerror or error}") from None
        if link.broken is not None:
            raise link.broken
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
        frame = codec.encode(message, payload)
        if len(frame) >= ALONE_BYTES or not (self._waiting or self._unwritten):
            self._write()
            self._transport.write(frame)
            return
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(frame)

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

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return -1 if self._transport is None else self._transport.get_extra_info("socket").fileno()

    def poll(self) -> None:
        """Do nothing: the event loop reads."""

    async def aside(self, act: Callable[[], R], undo: Callable[[], None] | None = None) -> R:
        """Return what a function returns that may wait for blobs to travel: in a thread, if it does."""
        if not self.shelf.is_elsewhere:
            return act()
        is_over = threading.Lock()  # taken by the end of the work or by a cancellation: the later of the two undoes

        def work() -> R:
            found = act()
            if undo is not None and not is_over.acquire(blocking=False):
                undo()
            return found

        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            if undo is not None and not is_over.acquire(blocking=False):
                self._loop.run_in_executor(None, undo)
            working.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks for it
            raise

    def shut(self) -> None:
        """Close the connection."""
        self._break("the connection was closed on this side")
        if self.leases is not None:
            self.leases.drop()
        if self._transport is not None:
            self._write()
            self._transport.close()

    # ------------------------------------------------------------ asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer to read into, the same each time: to allocate one takes longer than to read a message."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Sort the messages that arrived, and wake the coroutines that wait for them."""
        try:
            served = self._sort(self._buffer[:nbytes])
        except Error:
            self._wake(list(self._waiting))  # `broken` says why
            self.shut()
        else:
            self._wake(served)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every coroutine that waits."""
        self._break(how_it_broke(exc) if isinstance(exc, OSError) else "the server is gone")
        self._unwritten.clear()
        self._wake(list(self._waiting))

    # ------------------------------------------------------------ inside

    def _write(self) -> None:
        frames, self._unwritten = self._unwritten, []
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _wake(self, mailboxes: list[Mailbox]) -> None:
        for mailbox in mailboxes:
            self.wake(mailbox)

    async def _wait(self, mailbox: Mailbox, until: float | None) -> None:
        future = self._waiting[mailbox] = self._loop.create_future()
        try:
            if until is None:
                await future
            else:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    await future
        finally:
            del self._waiting[mailbox]


class _PinnedLoopLink(LoopLink):
    """A link to a server on another machine: nothing is sent to another one, and nothing of it is read."""

    def __init__(self, address: TlsAddress, frame_max: int, shelf: Shelf | None) -> None:
        super().__init__(frame_max, shelf)
        self._address = address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Compare the fingerprint before all else: a server may send before the handshake is over at this end."""
        from swell.sdk.connection.tls_socket import check_fingerprint

        try:
            check_fingerprint(self._address, transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
        except Error as error:
            self.broken = error
            cast("asyncio.Transport", transport).abort()
        else:
            super().connection_made(transport)

    def buffer_updated(self, nbytes: int) -> None:
        """Drop what another server sends."""
        if self._transport is not None:
            super().buffer_updated(nbytes)
