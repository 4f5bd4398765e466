"""Where a body ends: how it is read, and how it is written.

A message is smuggled when two programs on its way disagree about where it ends. So there is one place that decides: a
head is understood once (`RequestHead`, `ResponseHead`), and what it announces makes both the reader of the body that
comes and the writer of the body that goes. No parser of a library takes part, as such a parser has rules of its own: it
may take a head with an offer to upgrade for the end of HTTP, and leave the announced body unread.

There are three ways to read a body, and what is odd about any of them is an error, never repaired:

    LengthBody   exactly the announced number of bytes
    ChunkedBody  chunks, each with its size; extensions and trailer fields are checked, counted and dropped
    ClosedBody   until the connection ends (responses only)

A reader takes what is there and returns it in one piece, so that a peer which sends many small chunks does not cost an
object, a write and a timer for each. This module must not know heads or connections.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from swell.edge.gateway.http_error import BadMessage, TooLong
from swell.edge.gateway.receive_buffer import ReceiveBuffer

__all__ = ["LAST_CHUNK", "BodyReader", "BodyWriter", "ChunkedBody", "ClosedBody", "LengthBody", "chunk"]

LAST_CHUNK: Final = b"0\r\n\r\n"
_END: Final = b"\r\n"
_DIGITS_MAX: Final = 16  #: of the size of a chunk
_EXTENSIONS_MAX: Final = 16 << 10  #: bytes of chunk extensions in one body
_TRAILER_MAX: Final = 16 << 10  #: bytes of trailer fields
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*\r\n")
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


class BodyReader(Protocol):
    """Reads a body."""

    is_complete: bool

    def read(self, buffer: ReceiveBuffer) -> bytes:
        """Take what has come of the body; b"" if nothing has, or nothing more comes.

        Raises:
            BadMessage: the bytes are not a body of this kind.
        """
        ...


class LengthBody:
    """A body of a known length."""

    __slots__ = ("_left", "is_complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_complete = length == 0

    def read(self, buffer: ReceiveBuffer) -> bytes:
        """Take what has come of the body."""
        data = buffer.take(self._left)
        self._left -= len(data)
        self.is_complete = self._left == 0
        return data


class ClosedBody:
    """A body that ends with its connection."""

    __slots__ = ("is_complete",)

    def __init__(self) -> None:
        self.is_complete = False

    def read(self, buffer: ReceiveBuffer) -> bytes:
        """Take what has come of the body."""
        return buffer.take(len(buffer))


class ChunkedBody:
    """A body in chunks."""

    __slots__ = ("_extensions", "_is_in_trailer", "_left", "_trailer", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self._left = 0  #: bytes of the chunk that have not come yet, with the line end after it
        self._extensions = 0
        self._is_in_trailer = False
        self._trailer = 0

    def read(self, buffer: ReceiveBuffer) -> bytes:
        """Take what has come of the body."""
        parts: list[bytes | bytearray] = []
        while not self._is_in_trailer and len(buffer):
            if not self._left:
                self._read_whole(buffer, parts)
            if not self._left and not self._read_size(buffer):
                break
            if self._left and not self._read_data(buffer, parts):
                break
        while self._is_in_trailer and not self.is_complete and self._read_field(buffer):
            pass
        return b"".join(parts)

    def _read_whole(self, buffer: ReceiveBuffer, parts: list[bytes | bytearray]) -> None:
        """Read chunks that are all there and have no extensions: nearly all chunks, at a third of the price."""
        data, begin = buffer.peek()
        at = begin
        while (matched := _SIZE.match(data, at)) and matched[2] is None:
            size = int(matched[1], 16)
            start = matched.end()
            end = start + size
            if not size or data[end : end + len(_END)] != _END:
                break  # the last one, or one that has not come or is wrong: for the long way to tell
            parts.append(data[start:end])
            at = end + len(_END)
        buffer.skip(at - begin)

    def _read_size(self, buffer: ReceiveBuffer) -> bool:
        """Read the line before a chunk; False if it has not come yet."""
        left = _EXTENSIONS_MAX - self._extensions
        try:
            line = buffer.through(_END, _DIGITS_MAX + left + len(_END))
        except TooLong:
            raise TooLong(f"the chunk extensions of a body may have {_EXTENSIONS_MAX:,} bytes together") from None
        if line is None:
            return False
        matched = _SIZE.fullmatch(line)
        if matched is None:
            raise BadMessage(f"{line[:40]!r} is not a valid chunk size line")
        if matched[2]:
            self._extensions += len(matched[2])
        size = int(matched[1], 16)
        if size:
            self._left = size + len(_END)
        else:
            self._is_in_trailer = True
        return True

    def _read_data(self, buffer: ReceiveBuffer, parts: list[bytes | bytearray]) -> bool:
        """Read data of a chunk and the line end after it; False if they have not come yet."""
        if self._left > len(_END):
            data = buffer.take(self._left - len(_END))
            self._left -= len(data)
            parts.append(data)
        if self._left > len(_END) or len(buffer) < len(_END):
            return False
        if buffer.take(len(_END)) != _END:
            raise BadMessage("a chunk is longer than its size says")
        self._left = 0
        return True

    def _read_field(self, buffer: ReceiveBuffer) -> bool:
        """Read a line of the trailer; False if it has not come yet."""
        try:
            line = buffer.through(_END, _TRAILER_MAX - self._trailer + len(_END))
        except TooLong:
            raise TooLong(f"the trailer of a body may have {_TRAILER_MAX:,} bytes") from None
        if line is None:
            return False
        self._trailer += len(line)
        if line == _END:
            self.is_complete = True
            return True
        field = _FIELD.fullmatch(line)
        if field is None or field[1].lower() in _FRAMING:
            raise BadMessage(f"{line[:40]!r} is not a valid trailer field")
        return True


def chunk(data: bytes) -> bytes:
    """Return data, which must not be empty, as a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class BodyWriter:
    """Frames a body as its head announces it, and counts what was written.

    Args:
        length: Bytes that the head announces; None: none, or chunks.
        is_chunked: Whether it announces chunks.
    """

    __slots__ = ("_is_chunked", "_left", "is_whole")

    def __init__(self, length: int | None, *, is_chunked: bool) -> None:
        self._is_chunked = is_chunked
        self._left = 0 if is_chunked else length or 0
        self.is_whole = not is_chunked and self._left == 0  #: exactly what was announced has been written

    def part(self, data: bytes) -> bytes:
        """Return a part of the body as it is to be written.

        Raises:
            BadMessage: the body would be longer than the head announces.
        """
        if not data:
            return b""
        if self.is_whole or (not self._is_chunked and len(data) > self._left):
            raise BadMessage(f"{len(data):,} bytes are more than the head announces: {self._left:,} are left")
        if self._is_chunked:
            return chunk(data)
        self._left -= len(data)
        self.is_whole = self._left == 0
        return data

    def end(self) -> bytes:
        """Return what is to be written after the last part.

        Raises:
            BadMessage: the body is shorter than the head announces.
        """
        if self.is_whole:
            return b""
        if not self._is_chunked:
            raise BadMessage(f"the body is {self._left:,} bytes shorter than its head announces")
        self.is_whole = True
        return LAST_CHUNK
