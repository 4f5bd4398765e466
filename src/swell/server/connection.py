"""One socket of the server: frames in, frames out, and who is on the other end.

A connection that breaks the protocol is closed with one line in the log; nobody else notices. This module must not know
what messages mean, beyond the Hello that opens a connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Protocol, cast

from swell.errors import AuthError, Error, VersionError, to_wire
from swell.wire import codec
from swell.wire.messages import PROTOCOL, Failed, Hello, Message

__all__ = ["Connection", "Switchboard"]

log = logging.getLogger("swell.server")

SLICE_S = 0.002  #: how long what one peer said may keep the others from being heard
HELLO_PATIENCE_S = 10.0  #: how long a peer may be connected without saying who it is


class Switchboard(Protocol):
    """What a connection reports to."""

    def connected(self, connection: Connection, hello: Hello) -> str:
        """A peer said who it is; return "" to let it in, or why not."""
        ...

    def received(self, connection: Connection, message: Message, payload: bytes) -> None:
        """A peer said something."""
        ...

    def disconnected(self, connection: Connection) -> None:
        """A peer that was let in is gone."""
        ...


class Connection(asyncio.Protocol):
    """Server side of one connection: a client, or one of the two channels of a container."""

    def __init__(self, switchboard: Switchboard, number: int, frame_max: int) -> None:
        self.number = number  #: unique in this server
        self.role = ""  #: from Hello, empty until then
        self.name = ""
        self._switchboard = switchboard
        self._decoder = codec.for_server(frame_max)
        self._heard: deque[tuple[Message, bytes]] = deque()  # and not yet passed on
        self._resting = False  #: what was heard is passed on later, and nothing is read until then
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message; silently nothing once the peer is gone, which `disconnected` has told or will tell."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(codec.encode(message, payload))

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Send what is waiting, then close."""
        if self._transport is not None:
            self._transport.close()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for Hello, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        self._transport.set_write_buffer_limits(high=codec.HEADER_MAX)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(HELLO_PATIENCE_S, self._reject, "it did not say who it is")

    def data_received(self, data: bytes) -> None:
        """Pass on the messages that are complete."""
        try:
            self._heard += self._decoder.feed(data)
        except codec.FrameError as error:
            self._reject(str(error))
            return
        if not self._resting:
            self._pass_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the switchboard, if the peer had been let in."""
        if self._resting:
            self._pass_on(for_s=float("inf"))  # a peer's last words count, though it is gone
        self._transport = None
        self._be_patient()
        if self.role:
            self._switchboard.disconnected(self)

    # ------------------------------------------------------------ inside

    def _pass_on(self, for_s: float = SLICE_S) -> None:
        """Pass on what was heard, for a while; the rest after others have been heard, too."""
        heard, until = self._heard, time.perf_counter() + for_s
        try:
            while heard:
                message, payload = heard.popleft()
                if self.role:
                    self._switchboard.received(self, message, payload)
                else:
                    self._greet(message)
                if heard and time.perf_counter() > until:
                    self._rest()
                    return
        except codec.FrameError as error:
            self._reject(str(error))
        if self._resting:
            self._resting = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _rest(self) -> None:
        if self._transport is not None and not self._resting:
            self._resting = True
            self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._pass_on)

    def _greet(self, message: Message) -> None:
        self._be_patient()
        if not isinstance(message, Hello):
            raise codec.FrameError(f"the first message must be Hello, not {type(message).__name__}")
        if message.protocol != PROTOCOL:
            error: Error = VersionError(
                f"the peer speaks protocol {message.protocol}, this server {PROTOCOL}: use the same version of "
                "swell on both sides"
            )
        else:
            why = self._switchboard.connected(self, message)
            if not why:
                self.role, self.name = message.role, message.name
                return
            error = AuthError(why)
        self.send(Failed(0, *to_wire(error)))
        # A container may be killed while it connects: nothing to worry anybody with.
        self._reject(str(error), logging.WARNING if message.role == "client" else logging.INFO)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _reject(self, why: str, level: int = logging.WARNING) -> None:
        if self._transport is not None:
            log.log(level, "closing connection %d (%s): %s", self.number, self.role or "unknown peer", why)
            self._heard.clear()
            self._transport.close()
