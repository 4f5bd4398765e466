"""One end of a link on the event loop: frames to and from a stream, heartbeats, and who owns which channel.

Both ends are alike but for one thing: an agent that finds that it was stopped for too long (its machine was suspended,
or a debugger held it) must do nothing more before its owner has been told: the server has given its inputs to others
long ago. A server that was stopped reads on: what the agents said meanwhile is in its buffers.

This module must not know words, containers or TLS.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol, cast

from swell.link.frames import USUAL_BOUNDS, End, Frames, Kind, LinkBounds, LinkError, Piece

__all__ = ["Channel", "Link", "LinkOwner"]

BEAT_S: Final = 1.0  #: between two signs of life, unless the timeout wants them sooner
TICK_S: Final = 0.01  #: after the moment at which silence has lasted too long: clocks differ a little
READ_MAX: Final = 64 << 10  #: bytes that are read from the stream at once
CHUNK: Final = 256 << 10  #: bytes handed to the stream at once; what comes later may still go before the others
_DATA: Final = Kind.DATA  # most pieces are; a member of an enum is looked up slowly


class Channel(Protocol):
    """The owner of one channel of a link."""

    def received(self, data: bytes) -> None:
        """Bytes have come; `Link.consumed` is to be called when they are taken care of."""
        ...

    def finished(self) -> None:
        """No more bytes will come; more may be sent."""
        ...

    def lost(self, why: str) -> None:
        """The channel is over, in both directions: it was reset, or the link is lost."""
        ...

    def flushed(self) -> None:
        """Bytes that waited were written to the stream. Called only while the channel `watches`."""
        ...


class LinkOwner(Protocol):
    """The owner of one end of a link."""

    def linked(self, link: Link) -> None:
        """The stream is connected. Called once, before all others."""
        ...

    def beat(self) -> None:
        """It is time for a sign of life."""
        ...

    def word(self, body: bytes) -> None:
        """A word has come. May raise LinkError, which ends the link."""
        ...

    def opened(self, link: Link, number: int) -> Channel:
        """The peer has opened a channel; return its owner. May raise LinkError, which ends the link."""
        ...

    def lost(self, why: str) -> None:
        """The link is over, and so are its channels, which were told before. Called once."""
        ...


class Link(asyncio.BufferedProtocol):
    """One end of a link, as the protocol of a stream.

    It lends the stream a buffer: one that has to make its own allocates 256 KiB for every read through TLS, which takes
    as long as all the rest of a small message's way through a link (27 µs with it, 50 without, at each end).
    """

    def __init__(self, end: End, owner: LinkOwner, timeout_s: float, bounds: LinkBounds = USUAL_BOUNDS) -> None:
        """Begin when the stream does.

        Args:
            end: which of the two ends it is.
            owner: gets words, channels and the end.
            timeout_s: for how long nothing may come before the link counts as lost.
            bounds: what both ends have agreed on.
        """
        self._end = end
        self._owner = owner
        self._timeout_s = timeout_s
        self._beat_s = min(BEAT_S, timeout_s / 4)
        self._frames = Frames(end, bounds)
        self._buffer = memoryview(bytearray(READ_MAX))
        self._channels: dict[int, Channel] = {}
        self._watching: dict[int, Channel] = {}  # those that wait until their bytes are written
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_flushing = False  # it will flush before this pass of the loop is over
        self._may_write = True
        self._is_lost = False
        self._received_at = self._beat_at = _now()
        self._timer: asyncio.TimerHandle | None = None
        self.received_bytes = self.sent_bytes = 0  #: over the stream, without what TLS adds

    # ------------------------------------------------------------ what owners call

    @property
    def transport(self) -> asyncio.Transport | None:
        """The stream; None before it is connected, and when it has ended, a little after the link."""
        return self._transport

    @property
    def is_lost(self) -> bool:
        """True once the link has ended, or its end was asked for."""
        return self._is_lost

    @property
    def silent_s(self) -> float:
        """For how long nothing has come."""
        return _now() - self._received_at

    def send_word(self, body: bytes) -> None:
        """Send a word; nothing, once the link is lost."""
        if self._is_lost:
            return
        self._frames.word(body)
        self._flush_soon()

    def bound_words(self, most: int) -> None:
        """End the link if the peer sends a longer word than this."""
        self._frames.bound_words(most)

    @property
    def is_full(self) -> bool:
        """True if the peer would not bear another channel."""
        return self._frames.is_full

    @property
    def is_spent(self) -> bool:
        """True if this end should open no more channels: a link bears a great number of them, but not any."""
        return self._frames.is_spent

    @property
    def has_channels(self) -> bool:
        """True while a channel is open."""
        return bool(self._channels)

    def open(self, channel: Channel) -> int:
        """Open a channel; return its number."""
        number = self._frames.open()
        self._channels[number] = channel
        self._flush_soon()
        return number

    def send(self, number: int, data: bytes | memoryview) -> int:
        """Send bytes in a channel; return how many of it wait."""
        unsent = self._frames.send(number, data)
        self._flush_soon()
        return unsent

    def unsent(self, number: int) -> int:
        """Return the bytes of a channel that wait to be written to the stream."""
        return self._frames.unsent(number)

    def finish(self, number: int) -> None:
        """Send no more in a channel, after what was sent before."""
        self._frames.finish(number)
        self._flush_soon()

    def reset(self, number: int) -> None:
        """End a channel at once; its owner is not called any more."""
        self._frames.reset(number)
        self._forget(number)
        self._flush_soon()

    def consumed(self, number: int, count: int) -> None:
        """Note that bytes that came in a channel are taken care of."""
        if self._frames.consumed(number, count):
            self._flush_soon()

    def watch(self, number: int) -> None:
        """Call the channel's `flushed` whenever bytes of it were written, until `unwatch`."""
        channel = self._channels.get(number)
        if channel is not None:
            self._watching[number] = channel

    def unwatch(self, number: int) -> None:
        """Call `flushed` no more."""
        self._watching.pop(number, None)

    def end(self, why: str) -> None:
        """End the link at once, and tell all owners why."""
        if self._is_lost:
            return
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        channels, self._channels = list(self._channels.values()), {}
        self._watching.clear()
        for channel in channels:
            channel.lost(why)
        self._owner.lost(why)

    def close(self, why: str) -> None:
        """Write what waits, as far as the peer takes it at once, then end the link."""
        self._flush()
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()
        self.end(why)

    def end_if_stopped(self) -> bool:
        """Tell whether this process was stopped for so long that an agent must not go on; if so, end the link."""
        stopped_s = _now() - self._beat_at
        if self._end is End.AGENT and stopped_s > self._timeout_s:
            self.end(f"this process was stopped for {stopped_s:.1f} s")
            return True
        return False

    # ------------------------------------------------------------ asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to give signs of life."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type is no subclass
        self._transport.set_write_buffer_limits(high=CHUNK)
        self._received_at = self._beat_at = _now()
        self._owner.linked(self)
        if not self._is_lost:  # its owner may have been too late for it
            self._timer = self._loop.call_later(self._beat_s, self.beat)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the stream puts what it reads."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what has come."""
        now = _now()
        if self._is_lost or (now - self._beat_at > self._timeout_s and self.end_if_stopped()):
            return
        self._received_at = now
        self.received_bytes += nbytes
        try:
            for piece in self._frames.feed(self._buffer[:nbytes]):
                self._pass_on(piece)
                if self._is_lost:  # by what it meant to its owner
                    return
        except LinkError as error:
            self.end(f"the peer broke the protocol: {error}")
        self._flush_soon()

    def pause_writing(self) -> None:
        """The peer does not read as fast as is written."""
        self._may_write = False

    def resume_writing(self) -> None:
        """The peer has read most of it."""
        self._may_write = True
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream has ended."""
        self._transport = None
        self.end("the connection ended" if exc is None else f"the connection broke: {exc}")

    def beat(self) -> None:
        """Give a sign of life, and end the link if the peer has given none for too long: called by a timer."""
        now = _now()
        if self.end_if_stopped():
            return
        if now - self._beat_at > self._timeout_s:
            self._received_at = now  # a server that was stopped itself has still to read what was sent meanwhile
        self._beat_at = now
        if now - self._received_at > self._timeout_s:
            self.end(f"no sign of life for {self._timeout_s:g} s")
            return
        self._owner.beat()
        silent_s = now - self._received_at
        self._timer = self._loop.call_later(min(self._beat_s, self._timeout_s - silent_s + TICK_S), self.beat)

    # ------------------------------------------------------------ inside

    def _pass_on(self, piece: Piece) -> None:
        kind, number, data = piece
        if kind is _DATA:
            if (owner := self._channels.get(number)) is not None:
                owner.received(data)
        elif kind is Kind.WORD:
            self._owner.word(data)
        elif kind is Kind.OPEN:
            self._channels[number] = self._owner.opened(self, number)
        elif (channel := self._channels.get(number)) is None:
            return  # its owner has reset it
        elif kind is Kind.FINISH:
            channel.finished()
            if not self._frames.is_open(number):
                self._forget(number)
        else:
            self._forget(number)
            channel.lost("the peer has ended the channel")

    def _forget(self, number: int) -> None:
        self._channels.pop(number, None)
        self._watching.pop(number, None)

    def _flush_soon(self) -> None:
        if not self._is_flushing and self._frames.has_more and (self._may_write or self._frames.is_unread):
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write as much as the stream takes, and tell the channels that wait for that."""
        self._is_flushing = False
        while self._may_write and self._transport is not None and self._frames.has_more:
            taken = b"".join(self._frames.take(CHUNK))
            self.sent_bytes += len(taken)
            self._transport.write(taken)
        for number in self._frames.served():
            if (channel := self._watching.get(number)) is not None:
                channel.flushed()
            if not self._frames.is_open(number):
                self._forget(number)
        if self._frames.is_unread:
            self.end("it does not read what it is told")


def _now() -> float:
    """Return the time of a clock that also runs while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
