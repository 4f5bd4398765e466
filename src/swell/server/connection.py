"""One connection of the server: frames in, frames out, and the role of its peer.

A peer may send anything and read as slowly as it likes; that must neither end the server nor fill its memory:

- Before its Hello, it can make the server hold some kilobytes, and not for long.
- A frame that is no message of the protocol closes the connection, with one line in the log. A message with a value
  out of bounds is answered with an error, and the connection goes on.
- What is sent to it waits in a buffer. Above LAG_MAX it *lags*: the listener is told, and holds back what can wait.
  Above UNREAD_MAX nothing more is read from it, so that it cannot ask for more; a container is read from in any case,
  since its results are for others. Above UNSENT_MAX the connection is aborted.

This module must not know what messages mean, beyond the Hello that opens a connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from swell.errors import Error, InvalidError, ResourceExhausted, VersionError, to_wire
from swell.server.connection_limits import ConnectionLimits
from swell.wire import codec
from swell.wire.messages import PROTOCOL, Failed, Hello, Message, OpenCall, PutInputs, Refused

__all__ = ["GATHERED_MAX", "LAG_MAX", "UNREAD_MAX", "UNSENT_MAX", "Connection", "ConnectionListener"]

#: How long the messages of one peer may be handled before others get their turn, and before it gets its first answers:
#: of 64 messages that came together, it works on some of the answers while the rest is handled. 64 tasks of one event
#: loop made 22,500 spawns/s with 2 ms, 27,500 with 0.6, and no more with 0.3.
SLICE_S = 0.0006
HELLO_PATIENCE_S = 10.0  #: how long a peer may be connected without sending a Hello
GATHERED_MAX = 256 << 10  #: bytes that are held back for being sent together
LAG_MAX = 4 << 20  #: bytes that may wait for a peer before it lags
UNREAD_MAX = 8 << 20  #: bytes that may wait for a client before nothing more is read from it
UNSENT_MAX = 512 << 20  #: bytes that may wait for a peer at all


class ConnectionListener(Protocol):
    """What a connection reports to."""

    def connected(self, connection: Connection, hello: Hello) -> Error | None:
        """A peer sent its Hello; return None to let it in, or why not."""
        ...

    def received(self, connection: Connection, message: Message, payload: bytes) -> None:
        """A peer sent a message."""
        ...

    def lags(self, connection: Connection, is_lagging: bool) -> None:
        """A peer that was let in lags, or does so no longer."""
        ...

    def disconnected(self, connection: Connection) -> None:
        """A peer that was let in is gone."""
        ...


class Connection(asyncio.Protocol):
    """Server side of one connection: a client, or one of the two channels of a container."""

    def __init__(
        self,
        listener: ConnectionListener,
        number: int,
        frame_max: int,
        limits: ConnectionLimits,
        *,
        token: str | None = None,
    ) -> None:
        """Begin when the transport does.

        Args:
            listener: is reported to.
            number: unique in this server.
            frame_max: bytes that the payload of one message may have.
            limits: bounds connections like this one.
            token: that the peer has to show, a client on another machine; None: it is on this one.
        """
        self.number = number  #: unique in this server
        self.token = token
        self.role = ""  #: from Hello, empty until then
        self.name = ""
        self.is_lagging = False  #: it does not read what it is sent
        self._listener = listener
        self._limits = limits
        self._decoder = codec.PeerDecoder(frame_max)
        self._received: deque[tuple[Message | codec.Misfit, bytes]] = deque()  # not yet passed on
        self._is_yielding = False  #: what was received is passed on later, and nothing is read until then
        self._is_unread = False  #: likewise, when it has read what it was sent
        self._is_reading = True
        self._gathered: list[bytes] = []  # frames to be sent together
        self._gathered_bytes = 0
        self._latest: dict[object, Message] = {}  # to be sent when it reads again
        self._when_read: list[Callable[[], None]] = []
        self._transport: asyncio.Transport | None = None
        self._is_gone = False
        self._patience: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ sending

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message; once the peer is gone, nothing: `disconnected` reports that."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        frame = codec.encode(message, payload)
        if self._gathered:
            self._gathered.append(frame)
            self._flush()
            return
        transport.write(frame)
        if self.is_lagging:
            self._bound(transport)

    def gather(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message together with the next ones, in one system call, or before the event loop waits again."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        frame = codec.encode(message, payload)
        self._gathered.append(frame)
        self._gathered_bytes += len(frame)
        if self._gathered_bytes > GATHERED_MAX:
            self._flush()

    def send_latest(self, key: object, message: Message) -> None:
        """Send a message that the next one with this key replaces: a peer that lags gets only the last."""
        if self.is_lagging:
            self._latest[key] = message
        else:
            self.send(message)

    def when_read(self, action: Callable[[], None]) -> None:
        """Call a function once the peer does not lag any more, or is gone; at once, if it does not lag."""
        if self.is_lagging and not self._is_gone:
            self._when_read.append(action)
        else:
            action()

    async def read(self) -> bool:
        """Wait until the peer does not lag; False if it is gone."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.when_read(lambda: None if future.done() else future.set_result(None))
        await future
        return not self._is_gone

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Send what waits, then close."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self, error: Error) -> None:
        """Close at once: what waits to be sent is lost."""
        if self._transport is not None:
            self._limits.log.warning("broken off", "breaking off %s: %s", self, error)
            self._transport.abort()

    def reject(self, why: str) -> None:
        """Close a connection that has not sent a Hello."""
        self._close_for("no hello", why)

    def __str__(self) -> str:
        return f"connection {self.number} ({self.role or 'unknown peer'})"

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for Hello, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type is no subclass
        self._transport.set_write_buffer_limits(high=LAG_MAX)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(HELLO_PATIENCE_S, self.reject, "it did not say who it is")
        self._limits.opened(self)

    def data_received(self, data: bytes) -> None:
        """Pass on the messages that are complete."""
        try:
            self._received += self._decoder.feed(data)
        except codec.FrameError as error:
            self._close_for("bad frame", str(error))
            return
        if self._is_reading:
            self._pass_on()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self.is_lagging = True
        if self.role:
            self._listener.lags(self, True)

    def resume_writing(self) -> None:
        """The peer has read most of what it was sent."""
        self.is_lagging = self._is_unread = False
        if self.role:  # before anything is sent, after which it may lag again
            self._listener.lags(self, False)
        latest, self._latest = self._latest, {}
        for key, message in latest.items():
            self.send_latest(key, message)
        self._call_back()
        if not self._is_yielding:
            self._pass_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, if the peer had been let in."""
        if not self._is_reading:
            self._is_unread = False
            self._pass_on(for_s=float("inf"))  # a peer's last messages count, though it is gone
        self._transport = None
        self._is_gone = True
        self._end_patience()
        self._latest.clear()
        if self.role:
            self._listener.disconnected(self)
        self._call_back()

    # ------------------------------------------------------------ inside

    def _flush(self) -> None:
        """Send what was gathered."""
        frames, self._gathered, self._gathered_bytes = self._gathered, [], 0
        transport = self._transport
        if not frames or transport is None or transport.is_closing():
            return
        transport.writelines(frames)
        if self.is_lagging:
            self._bound(transport)

    def _bound(self, transport: asyncio.Transport) -> None:
        """Read nothing more from a client that does not read; abort beyond UNSENT_MAX."""
        unsent = transport.get_write_buffer_size()
        if unsent > UNSENT_MAX:
            self.abort(ResourceExhausted(f"it does not read: {unsent >> 20} MiB wait for it"))
        elif unsent > UNREAD_MAX and self.role == "client":
            self._is_unread = True
            self._read_if_possible()

    def _call_back(self) -> None:
        actions, self._when_read = self._when_read, []
        for action in actions:
            self.when_read(action)  # the action before may have sent much

    def _read_if_possible(self) -> None:
        """Read from the socket, unless what was read before has not been passed on."""
        may_read = not (self._is_yielding or self._is_unread)
        if may_read == self._is_reading or self._transport is None or self._transport.is_closing():
            return
        self._is_reading = may_read
        if may_read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _pass_on(self, for_s: float = SLICE_S) -> None:
        """Pass on what was received, for a while; the rest after others had their turn, or when the peer reads."""
        received, until = self._received, time.perf_counter() + for_s
        self._is_yielding = False
        try:
            while received and not self._is_unread:
                message, payload = received.popleft()
                if isinstance(message, codec.Misfit):
                    self._answer_misfit(message)
                elif self.role:
                    self._listener.received(self, message, payload)
                else:
                    self._greet(message)
                if received and time.perf_counter() > until:
                    self._yield()
                    break
        except codec.FrameError as error:
            self._close_for("bad frame", str(error))
        self._read_if_possible()

    def _yield(self) -> None:
        if self._transport is not None:
            self._is_yielding = True
        asyncio.get_running_loop().call_soon(self._pass_on)

    def _greet(self, message: Message) -> None:
        self._end_patience()
        if not isinstance(message, Hello):
            raise codec.FrameError(f"the first message must be Hello, not {type(message).__name__}")
        error: Error | None
        if message.protocol != PROTOCOL:
            error = VersionError(
                f"the peer speaks protocol {message.protocol}, this server {PROTOCOL}: use the same version of "
                "swell on both sides"
            )
        else:
            error = self._listener.connected(self, message)
            if error is None:
                self.role, self.name = message.role, message.name
                self._decoder.trust()
                self._received += self._decoder.feed(b"")  # what it sent without waiting for Welcome
                if self.is_lagging:
                    self._listener.lags(self, True)
                return
        self.send(Failed(0, *to_wire(error)))
        # A container may be killed while it connects: no warning is due.
        self._close_for("not let in", str(error), logging.WARNING if message.role == "client" else logging.INFO)

    def _answer_misfit(self, misfit: codec.Misfit) -> None:
        """Answer a client whose message is out of bounds; close other connections, and where no answer fits."""
        code, text, fields = to_wire(InvalidError(f"the server cannot take this message: {misfit.why}"))
        self._limits.log.warning("misfit", "%s sent what does not fit: %s", self, misfit.why)
        if self.role == "client" and misfit.request:
            self.send(Failed(misfit.request, code, text, fields))
        elif self.role == "client" and misfit.call_id and misfit.kind in (OpenCall, PutInputs):
            self.send(Refused(misfit.call_id, 0, code, text, fields))
        else:
            raise codec.FrameError(misfit.why)

    def _end_patience(self) -> None:
        self._limits.identified(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _close_for(self, kind: str, why: str, level: int = logging.WARNING) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._limits.log.log(level, kind, "closing %s: %s", self, why)
            if self.role == "client":
                self.send(Failed(0, *to_wire(InvalidError(f"the server closes this connection: {why}"))))
            self._received.clear()
            if self.is_lagging:
                self._transport.abort()  # else what waits would be held for ever
            else:
                self._transport.close()
