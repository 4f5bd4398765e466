"""Bytes that were received and are not yet understood.

Every operation costs what it takes out or adds, however many pieces the bytes came in: a peer that sends a head byte by
byte must not have it copied or searched from the start each time. This module must not know HTTP.
"""

from __future__ import annotations

from swell.edge.gateway.http_error import TooLong

__all__ = ["ReceiveBuffer"]


class ReceiveBuffer:
    """A queue of bytes. Its owner bounds it, by feeding no more before the rest is taken."""

    __slots__ = ("_at", "_data", "_searched")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""  #: the last piece as it arrived, while nothing of earlier ones is left
        self._at = 0  #: where what is not taken begins
        self._searched = 0  #: up to where a mark was looked for in vain

    def __len__(self) -> int:
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        """Add bytes at the end."""
        if self._at == len(self._data):
            self._data, self._at, self._searched = data, 0, 0
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        del self._data[: self._at]
        self._searched = max(0, self._searched - self._at)
        self._at = 0
        self._data += data

    def startswith(self, prefix: bytes) -> bool:
        """True if the bytes begin so."""
        return self._data.startswith(prefix, self._at)

    def take(self, count: int) -> bytes:
        """Take up to `count` bytes from the front."""
        begin = self._at
        end = self._at = min(begin + count, len(self._data))
        return bytes(self._data[begin:end])

    def peek(self) -> tuple[bytes | bytearray, int]:
        """Return the bytes as they are stored, and where they begin in there."""
        return self._data, self._at

    def skip(self, count: int) -> None:
        """Take bytes that were peeked at."""
        self._at += count

    def through(self, mark: bytes, size_max: int) -> bytes | None:
        """Take all bytes up to a mark, and the mark; None if it has not come yet.

        Args:
            mark: The last bytes to take.
            size_max: Bytes within which the mark must end.

        Raises:
            TooLong: the mark does not end within `size_max` bytes.
        """
        begin = self._at
        found = self._data.find(mark, max(begin, self._searched - len(mark) + 1), begin + size_max)
        if found < 0:
            self._searched = len(self._data)
            if len(self._data) - begin >= size_max:
                raise TooLong(f"more than {size_max:,} bytes")
            return None
        end = self._at = self._searched = found + len(mark)
        return bytes(self._data[begin:end])
