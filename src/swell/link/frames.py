"""The bytes of a link: frames of many channels in one stream, as values: bytes in, pieces out; nothing here waits.

    frame = size u32 | channel u32 | kind u8 | body

Words, which are messages between the two ends, stand in frames of channel 0. Every other channel carries a stream of
bytes in both directions; whoever has a peer to connect opens one, the two ends with numbers of their own.

**Windows.** Of a channel, an end may have sent a window of bytes that the other has not consumed. Whoever has consumed
a quarter of that gives credit for as many. So a reader that is slow stops its own channel and no other, and what may
wait on either side is bounded: a peer that sends more than it may breaks the link. Credit is given for many bytes at
once, so that a peer that sends single bytes, and reads nothing, cannot make this end hold more than it has sent.

**Fairness.** What is sent waits in a queue of its channel. `take` cuts PIECE bytes from each in turn, so that a message
of many megabytes delays a small one of another channel by one piece of each channel at most. Words go first.

**Ends.** `finish` ends one direction after all that was sent before it; a channel is over when both have ended. `reset`
ends both at once, and drops what waits. Frames of a channel that is over were on their way, and are ignored.

This module must not know sockets, clocks, or what words and channels are about.
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["PIECE", "USUAL_BOUNDS", "WINDOW", "WORD_MAX", "End", "Frames", "Kind", "LinkBounds", "LinkError", "Piece"]

WINDOW: Final = 1 << 20  #: bytes of one direction of a channel that may be on their way
PIECE: Final = 64 << 10  #: bytes of one channel in a frame
WORD_MAX: Final = 1 << 20  #: bytes of one word
WORDS_UNSENT_MAX: Final = 64 << 20  #: bytes of words that may wait until the peer reads
CHANNELS_MAX: Final = 16_384  #: that may be open at once
NUMBERS_MAX: Final = 1 << 31  #: of channels, after which an end should open no more; they have 32 bits
_HEADER: Final = struct.Struct("<IIB")


class LinkBounds(NamedTuple):
    """What the two ends of a link have agreed on."""

    window: int = WINDOW  #: bytes of one direction of a channel that may be on their way
    word_max: int = WORD_MAX  #: bytes of one word
    channels_max: int = CHANNELS_MAX  #: that may be open at once


USUAL_BOUNDS: Final = LinkBounds()


class LinkError(Exception):
    """The peer has sent what no correct one sends, or does not read; the link is of no more use."""


class Kind(IntEnum):
    """What a frame is."""

    WORD = 0
    OPEN = 1
    DATA = 2
    FINISH = 3
    RESET = 4
    CREDIT = 5  #: its size is a number of bytes that were consumed, and it has no body


# Each byte passes here: to call an enum, or to pack a member of one, takes as long as all the rest of a small frame.
_KINDS: Final[dict[int, Kind]] = {kind.value: kind for kind in Kind}
_DATA_NUMBER: Final = Kind.DATA.value

#: What has come of one channel: a word or bytes, or that it was opened or has ended, without bytes.
Piece = tuple[Kind, int, bytes]


class End(IntEnum):
    """The two ends of a link; each opens channels with numbers that the other does not use."""

    SERVER = 0
    AGENT = 1


class _Channel:
    """One channel: what waits to be sent, and what either side may still send."""

    __slots__ = ("consumed", "credit", "finishing", "has_finished", "may_receive", "queue", "received_all", "unsent")

    def __init__(self, window: int) -> None:
        self.queue: deque[bytes | memoryview] = deque()
        self.unsent = 0  #: bytes in the queue
        self.credit = window  #: bytes that may be sent
        self.may_receive = window  #: bytes that the peer may send
        self.consumed = 0  #: bytes of which the peer has not been told that they are taken care of
        self.finishing = False  #: nothing is sent after what is in the queue
        self.has_finished = False  #: the peer was told so
        self.received_all = False  #: the peer has told so


class Frames:
    """One end of a link. All methods return at once; `take` returns what is to be written to the stream."""

    def __init__(self, end: End, bounds: LinkBounds = USUAL_BOUNDS) -> None:
        self._window, self._word_max, self._channels_max = bounds
        self._body_max = (bounds.word_max, 0, PIECE, 0, 0, 0)  # bytes, by kind
        self._credit_min = bounds.window // 4  # bytes that are consumed before they are told
        self._next_channel = 1 + end
        self._channels: dict[int, _Channel] = {}
        self._turns: OrderedDict[int, _Channel] = OrderedDict()  # channels that have something to send, and may
        self._urgent: deque[bytes] = deque()  # whole frames that go before all data
        self._urgent_bytes = 0
        self._peers_parity = (1 + end + 1) % 2
        self._peers_latest = 0  # the channel that the peer has opened last
        self._received = bytearray()
        self._served: dict[int, None] = {}  # channels of which something was taken

    # ------------------------------------------------------------ sending

    def word(self, body: bytes) -> None:
        """Send a word, of at most `word_max` bytes."""
        if len(body) > self._word_max:
            raise ValueError(f"a word may have {self._word_max:,} bytes, this one has {len(body):,}")
        self._send_first(Kind.WORD, 0, body)

    @property
    def is_full(self) -> bool:
        """True if the peer would not bear another channel."""
        return len(self._channels) >= self._channels_max

    @property
    def is_spent(self) -> bool:
        """True if this end has used up most of its numbers; a channel's is used once."""
        return self._next_channel > NUMBERS_MAX

    @property
    def is_unread(self) -> bool:
        """True if so much waits before all data that the peer cannot have read for long."""
        return self._urgent_bytes > WORDS_UNSENT_MAX

    def open(self) -> int:
        """Open a channel; return its number."""
        number, self._next_channel = self._next_channel, self._next_channel + 2
        self._channels[number] = _Channel(self._window)
        self._send_first(Kind.OPEN, number)
        return number

    def send(self, number: int, data: bytes | memoryview) -> int:
        """Send bytes in a channel; return how many of it wait. On one that is over or is finished, they are dropped."""
        channel = self._channels.get(number)
        if channel is None:
            return 0
        if data and not channel.finishing:
            channel.queue.append(data)
            channel.unsent += len(data)
            if channel.credit > 0:
                self._turns[number] = channel
        return channel.unsent

    def finish(self, number: int) -> None:
        """End this direction of a channel, after what was sent before."""
        channel = self._channels.get(number)
        if channel is not None and not channel.finishing:
            channel.finishing = True
            self._queue(number, channel)

    def reset(self, number: int) -> None:
        """End a channel at once, in both directions; what waits in it is dropped."""
        if self._forget(number) is not None:
            self._send_first(Kind.RESET, number)

    def consumed(self, number: int, count: int) -> bool:
        """Let the peer send so many bytes more, for as many were taken care of; return whether it is told so now."""
        channel = self._channels.get(number)
        if channel is None:
            return False
        channel.consumed += count
        if channel.consumed < self._credit_min or channel.received_all:
            return False
        count, channel.consumed = channel.consumed, 0
        channel.may_receive += count
        self._send_first(Kind.CREDIT, number, credit=count)
        return True

    def unsent(self, number: int) -> int:
        """Return the bytes of a channel that wait to be sent."""
        channel = self._channels.get(number)
        return 0 if channel is None else channel.unsent

    def is_open(self, number: int) -> bool:
        """Tell whether a channel is not over."""
        return number in self._channels

    @property
    def has_more(self) -> bool:
        """True if `take` would return something."""
        return bool(self._urgent or self._turns)

    def take(self, most: int) -> list[bytes | memoryview]:
        """Return what to write next, in order; some `most` bytes of it, so that what comes later can still go first."""
        taken: list[bytes | memoryview] = []
        size = 0
        if self._urgent:
            taken += self._urgent
            size = self._urgent_bytes
            self._urgent.clear()
            self._urgent_bytes = 0
        while self._turns and size < most:
            number, channel = self._turns.popitem(last=False)
            size += self._take_piece(number, channel, taken)
            self._served[number] = None
            if channel.queue or channel.finishing:
                self._queue(number, channel)
        return taken

    def served(self) -> dict[int, None]:
        """Return the channels of which something was taken since the last call; some may be over."""
        served, self._served = self._served, {}
        return served

    def _take_piece(self, number: int, channel: _Channel, taken: list[bytes | memoryview]) -> int:
        """Cut a piece off a channel's queue, or tell its end; return the bytes of it."""
        if not channel.queue:
            channel.has_finished = True
            taken.append(_HEADER.pack(0, number, Kind.FINISH))
            if channel.received_all:
                self._forget(number)
            return _HEADER.size
        data = channel.queue.popleft()
        size = min(PIECE, channel.credit, len(data))
        if size < len(data):
            channel.queue.appendleft(memoryview(data)[size:])
            data = memoryview(data)[:size]
        channel.unsent -= size
        channel.credit -= size
        taken += (_HEADER.pack(size, number, _DATA_NUMBER), data)
        return size + _HEADER.size

    def _queue(self, number: int, channel: _Channel) -> None:
        """Give a channel its turn if it has something to send, and may."""
        has_data = bool(channel.queue) and channel.credit > 0
        has_end = channel.finishing and not (channel.queue or channel.has_finished)
        if has_data or has_end:
            self._turns[number] = channel  # which keeps the turn that it has, if it has one

    def _send_first(self, kind: Kind, channel: int, body: bytes = b"", *, credit: int = 0) -> None:
        frame = _HEADER.pack(credit or len(body), channel, kind) + body
        self._urgent.append(frame)
        self._urgent_bytes += len(frame)

    # ------------------------------------------------------------ receiving

    def bound_words(self, most: int) -> None:
        """Take no longer words than this from the peer."""
        self._body_max = (most, *self._body_max[1:])

    def feed(self, data: bytes | memoryview) -> list[Piece]:
        """Take in a copy of what has come; return it in order, piece by piece.

        Raises:
            LinkError: it is not what a correct peer sends.
        """
        rest = self._received
        if rest:
            rest += data
        received = rest or data  # most of what comes is whole frames, which are not copied before they are cut
        pieces: list[Piece] = []
        at, length = 0, len(received)
        while length - at >= _HEADER.size:
            size, number, kind = _HEADER.unpack_from(received, at)
            body = self._body_size(size, number, kind)
            if length - at < _HEADER.size + body:
                break
            at += _HEADER.size
            piece = self._frame(_KINDS[kind], number, size, bytes(received[at : at + body]))
            if piece is not None:
                pieces.append(piece)
            at += body
        if rest:
            del rest[:at]
        elif at < length:
            rest += received[at:]
        return pieces

    def _body_size(self, size: int, number: int, kind: int) -> int:
        """Return the bytes that follow a header, before any of them is waited for."""
        if kind == _DATA_NUMBER and number and size <= PIECE:
            return size  # as most are
        if kind > Kind.CREDIT or (number == 0) != (kind == Kind.WORD):
            raise LinkError(f"there is no frame of kind {kind} in channel {number}")
        if kind == Kind.CREDIT:
            return 0
        if size > (bound := self._body_max[kind]):
            raise LinkError(f"a frame of kind {kind} may have {bound:,} bytes, this one has {size:,}")
        return size

    def _frame(self, kind: Kind, number: int, size: int, body: bytes) -> Piece | None:
        """Take in one frame; return what it means to the owner of the channel, if anything."""
        if kind is Kind.WORD:
            return kind, 0, body
        if kind is Kind.OPEN:
            return self._opened(number)
        channel = self._channels.get(number)
        if channel is None:
            return None  # it is over, and this was on its way
        if kind is Kind.CREDIT:
            self._credited(number, channel, size)
            return None
        if kind is Kind.RESET:
            self._forget(number)
        elif channel.received_all:
            raise LinkError(f"channel {number} goes on after its end")
        elif kind is Kind.FINISH:
            channel.received_all = True
            if channel.has_finished:
                self._forget(number)
        else:
            channel.may_receive -= size
            if channel.may_receive < 0 or not size:
                raise LinkError(f"{size:,} bytes in channel {number} do not fit its window of {self._window:,}")
        return kind, number, body

    def _opened(self, number: int) -> Piece:
        if number % 2 != self._peers_parity or number <= self._peers_latest:
            raise LinkError(f"channel {number} cannot be opened after {self._peers_latest}")
        if self.is_full:
            raise LinkError(f"more than {self._channels_max:,} channels are open")
        self._peers_latest = number
        self._channels[number] = _Channel(self._window)
        return Kind.OPEN, number, b""

    def _credited(self, number: int, channel: _Channel, count: int) -> None:
        channel.credit += count
        if (excess := channel.credit - self._window) > 0:
            raise LinkError(f"channel {number} gets credit for {excess:,} bytes that were not sent")
        self._queue(number, channel)

    def _forget(self, number: int) -> _Channel | None:
        self._turns.pop(number, None)
        return self._channels.pop(number, None)
