"""A channel of a link as the transport of a protocol: what speaks over a socket here speaks over it there unchanged.

This module must not know what is spoken.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from swell.link.connection import Link

__all__ = ["ChannelTransport"]

HIGH: Final = 64 << 10  #: bytes that may wait before the protocol is asked to pause, unless it sets other limits


class ChannelTransport(asyncio.Transport):
    """The transport of one protocol, and the owner of one channel."""

    def __init__(self, link: Link, protocol: asyncio.Protocol, number: int | None = None) -> None:
        """Begin, with a channel that the peer has opened, or else with a new one."""
        super().__init__()
        self._link = link
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._high, self._low = HIGH, HIGH // 4
        self._is_paused = False  # the protocol was asked to write no more
        self._is_reading = True
        self._is_closing = False
        self._is_lost = False
        self._owes_end = False  # the peer sends no more, of which the protocol does not know yet
        self._held = bytearray()  # what came while nothing is read; the window bounds it
        self.number = link.open(self) if number is None else number
        protocol.connection_made(self)  # now: bytes may follow at once

    # ------------------------------------------------------------ asyncio.Transport

    def write(self, data: Any) -> None:
        """Send bytes."""
        if self._is_closing:
            return
        unsent = self._link.send(self.number, data)
        if unsent > self._high and not self._is_paused:
            self._is_paused = True
            self._link.watch(self.number)
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces of bytes."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Tell that each direction can end by itself."""
        return True

    def write_eof(self) -> None:
        """Send what waits, and then nothing more; the peer may go on."""
        self._link.finish(self.number)

    def close(self) -> None:
        """Send what waits, then end."""
        if self._is_closing:
            return
        self._is_closing = True
        self._take_held()
        self._link.finish(self.number)
        if self._link.unsent(self.number):
            self._link.watch(self.number)
        else:
            self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """End at once; what waits is lost."""
        if not self._is_lost:
            self._is_closing = True
            self._held.clear()
            self._link.reset(self.number)
            self._loop.call_soon(self._end, None)

    def is_closing(self) -> bool:
        """Tell whether it has ended, or will when what waits was sent."""
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return self._link.unsent(self.number)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many bytes may wait before the protocol is asked to pause, and how many when it may go on."""
        self._high = (HIGH if low is None else 4 * low) if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self) -> None:
        """Pass on nothing more, until `resume_reading`."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Pass on what came meanwhile, and what comes."""
        if not self._is_reading:
            self._is_reading = True
            self._loop.call_soon(self._pass_on)

    def is_reading(self) -> bool:
        """Tell whether what comes is passed on."""
        return self._is_reading and not self._is_closing

    def get_protocol(self) -> asyncio.Protocol:
        """Return the protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Pass on what comes from now on to another protocol."""
        self._protocol = cast("asyncio.Protocol", protocol)

    # ------------------------------------------------------------ the channel

    def received(self, data: bytes) -> None:
        """Bytes have come; once the protocol has closed, nothing is kept for it."""
        if self._is_reading and not (self._is_closing or self._held):
            self._link.consumed(self.number, len(data))
            self._hand(data)
        elif self._is_closing:
            self._link.consumed(self.number, len(data))
        else:
            self._held += data

    def finished(self) -> None:
        """No more bytes will come: end, as sockets do whose protocol does not say otherwise."""
        self._owes_end = True
        self._pass_on()

    def lost(self, why: str) -> None:
        """The channel is over."""
        self._is_closing = True
        self._held.clear()
        self._loop.call_soon(self._end, ConnectionResetError(why))

    def flushed(self) -> None:
        """Bytes were sent: let the protocol go on, or end if it was to after the last."""
        unsent = self._link.unsent(self.number)
        if self._is_paused and unsent <= self._low:
            self._is_paused = False
            if not self._is_closing:
                self._link.unwatch(self.number)
            self._protocol.resume_writing()
        if self._is_closing and not unsent:
            self._end(None)

    def _pass_on(self) -> None:
        """Pass on what has come, as far as the protocol reads."""
        if self._held and self._is_reading and not self._is_closing:
            self._hand(self._take_held())
        if self._owes_end and self._is_reading and not self._is_closing:
            self._owes_end = False
            if not self._protocol.eof_received():
                self.close()

    def _hand(self, data: bytes) -> None:
        """Have the protocol take bytes. If it fails, its connection ends, as that over a socket does, and no other."""
        try:
            self._protocol.data_received(data)
        except Exception as error:
            what = "a protocol failed to take what was received"
            context = {"message": what, "exception": error, "transport": self, "protocol": self._protocol}
            self._loop.call_exception_handler(context)
            self.abort()

    def _take_held(self) -> bytes:
        data, self._held = bytes(self._held), bytearray()
        self._link.consumed(self.number, len(data))
        return data

    def _end(self, why: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._link.unwatch(self.number)
            self._protocol.connection_lost(why)
