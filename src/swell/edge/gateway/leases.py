"""The gateway's connection to the server: asks for a container for each request, and releases it afterwards.

Messages of one turn of the event loop leave in one write. If the server does not read, what waits for it grows with
each request; so the gateway refuses requests while `is_full` is true. Those that are in send a message or two each.
This module must not know HTTP.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final, Protocol, cast

from swell.ids import CALL, RANDOM_BYTES
from swell.model import CallKind, OutputStatus
from swell.wire import codec
from swell.wire.messages import (
    PROTOCOL,
    CancelCall,
    Failed,
    Hello,
    Message,
    OpenCall,
    Outputs,
    Refused,
    Welcome,
)
from swell.wire.web import Leased, Release, Route, Routes

__all__ = ["LeaseHolder", "LeaseRequest", "Leases"]

_SUCCESS: Final = int(OutputStatus.SUCCESS)
UNREAD_MAX: Final = 4 << 20  #: bytes that may wait for the server; while there are more, requests are refused
_DOUBT_S: Final = 0.5  #: longer than the server takes to see that a container is gone


class LeaseHolder(Protocol):
    """Waits for a container, and has it."""

    def leased(self, container_id: str, where: str) -> None:
        """The container may be used, until the lease is released; `where` is its node, "" if that is this machine."""
        ...

    def refused(self, code: str, text: str, retry_after_s: float | None) -> None:
        """There will be no container."""
        ...

    def ended(self, status: OutputStatus, text: str) -> None:
        """The server has ended the request, before it had a container or while it has one."""
        ...


class LeaseRequest:
    """A request as the server knows it. It has a container from `leased` to `release`."""

    __slots__ = ("_in_doubt", "_leases", "call_id", "holder", "leased_at")

    def __init__(self, leases: Leases, call_id: str, holder: LeaseHolder) -> None:
        self._leases = leases
        self.call_id = call_id
        self.holder: LeaseHolder | None = holder
        self.leased_at: float | None = None
        self._in_doubt: Callable[[OutputStatus | None, str], None] | None = None

    def cancel(self) -> None:
        """Withdraw the request: nobody waits for the container that it has not got yet."""
        self._leases.send(CancelCall(self.call_id))

    def release(self, status: OutputStatus) -> None:
        """End the request: its slot is free."""
        if self._leases.forget(self):
            busy_s = 0.0 if self.leased_at is None else time.perf_counter() - self.leased_at
            self._leases.send(Release(self.call_id, int(status), busy_s))

    def release_in_doubt(
        self, status: OutputStatus, then: Callable[[OutputStatus | None, str], None] | None = None
    ) -> None:
        """The container has broken the connection off, and may be gone: release the slot a little later.

        If it is gone, the server is about to see it, and should not give its slot to another request before that.

        Args:
            status: How the request has ended.
            then: Called once: with how the server has ended the request, or with None if the container is there.
        """
        self.holder, self._in_doubt = None, then
        self._leases.later(_DOUBT_S, lambda: self.resolve(status, None, ""))

    def resolve(self, status: OutputStatus, known: OutputStatus | None, text: str) -> None:
        """End the doubt, if it has not ended: the server has sent how the request ended, or does not.

        Args:
            status: How the request has ended, for the server.
            known: How the server has ended it; None if it has not.
            text: The reason of the server.
        """
        self.release(status)
        then, self._in_doubt = self._in_doubt, None
        if then is not None:
            then(known, text)


class Leases(asyncio.Protocol):
    """The connection to the server.

    Args:
        token: Of the server; "" if it needs none.
        frame_max: Bytes that one message may have.
        on_routes: Called with all routes, whenever they change.
        on_end: Called with the reason when the connection has ended; nothing can be served any more.
    """

    def __init__(
        self, token: str, frame_max: int, on_routes: Callable[[list[Route]], None], on_end: Callable[[str], None]
    ) -> None:
        self._token = token
        self._decoder = codec.for_client(frame_max)
        self._on_routes = on_routes
        self._on_end = on_end
        self._requests: dict[str, LeaseRequest] = {}
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._is_full = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_full(self) -> bool:
        """True if the server is so far behind in reading that requests must be refused."""
        return self._is_full

    # ------------------------------------------------------------ sending

    def send(self, message: Message) -> None:
        """Send a message, together with the others of this turn of the event loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(codec.encode(message))

    def ask(self, function_id: str, method: str, parameters: bytes, holder: LeaseHolder) -> LeaseRequest:
        """Ask for a container for one request; of a class, of the variant that has these parameters."""
        lease = LeaseRequest(self, CALL + os.urandom(RANDOM_BYTES).hex(), holder)
        self._requests[lease.call_id] = lease
        self.send(
            OpenCall(
                call_id=lease.call_id,
                function_id=function_id,
                method=method,
                kind=CallKind.WEB,
                ends=[0],
                sealed=True,
                parameters=parameters,
            )
        )
        return lease

    def forget(self, lease: LeaseRequest) -> bool:
        """Drop what the server still sends about a request; return False if it was forgotten already."""
        return self._requests.pop(lease.call_id, None) is not None

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after a while."""
        self._loop.call_later(seconds, action)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        self._transport.set_write_buffer_limits(UNREAD_MAX)
        self._transport.write(codec.encode(Hello("client", PROTOCOL, "edge", self._token)))

    def data_received(self, data: bytes) -> None:
        """Handle messages of the server."""
        try:
            for message, payload in self._decoder.feed(data):
                self._handle_message(message, payload)
        except codec.FrameError as error:
            self._end(f"the server sent something that is not understood: {error}")

    def pause_writing(self) -> None:
        """The server reads slower than it is sent to."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The server is gone."""
        self._end("the server is gone")

    def _end(self, why: str) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            self._on_end(why)

    def _handle_message(self, message: Message, payload: bytes) -> None:
        match message:
            case Leased():
                lease = self._requests.get(message.call_id)
                if lease is None or lease.holder is None:
                    self.send(Release(message.call_id, int(OutputStatus.TERMINATED), 0.0))
                    return
                lease.leased_at = time.perf_counter()
                lease.holder.leased(message.container_id, message.where)
            case Outputs():
                lease = self._requests.get(message.call_id)
                if lease is not None:
                    status = OutputStatus(dict(message.failures).get(0, _SUCCESS))
                    self._ended(lease, status, payload[:1_000].decode(errors="replace"))
            case Refused():
                lease = self._requests.pop(message.call_id, None)
                if lease is not None and lease.holder is not None:
                    lease.holder.refused(message.code, message.text, message.retry_after_s)
            case Routes():
                self._on_routes(message.routes)
            case Failed():
                self._end(message.text)
            case Welcome():
                pass
            case _:
                self._end(f"the server sent {type(message).__name__}, which is not for an edge")

    def _ended(self, lease: LeaseRequest, status: OutputStatus, text: str) -> None:
        if lease.holder is None:
            lease.resolve(OutputStatus.TERMINATED, status, text)
            return
        if lease.leased_at is None:
            self.forget(lease)
        lease.holder.ended(status, text)
