"""The bulk link: connections beside a link that carry files between a server and an agent.

Their sockets block, and are used in threads: an event loop moves a fraction of the bytes through TLS, and has other
work. An agent has several such connections, each for one file at a time, and keeps them for the next. It begins with
a line, the token that its Welcome had; then, as often as it likes:

    get NAME          the server answers the size of the file, and its bytes: of a blob or, by its digest, a bundle
    put SIZE NAME     the server answers ok; after the bytes it answers ok once it has the file

Each is a line, and what is answered instead is `no` and the reason. This module must not know where files are, or who
may have them.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from typing import Final

__all__ = ["BUNDLES_MAX", "OK", "TRANSFERS_MAX", "BulkError", "BulkStream", "connect", "refusal"]

CHUNK: Final = 1 << 20  #: bytes that are read of a file, or written to one, at once
SMALL: Final = 64 << 10  #: pieces of fewer bytes are copied together
SLICE: Final = 256 << 10  #: bytes that are sent at once: so many have to pass in STALL_S, to one who is slow as well
LINE_MAX: Final = 4_096  #: bytes
TRANSFERS_MAX: Final = 4  #: of blobs, at once, by one agent
BUNDLES_MAX: Final = 2  #: of bundles, likewise
CONNECT_S: Final = 10.0  #: how long connecting and the handshake may take, each
STALL_S: Final = 30.0  #: for how long no byte may pass in the middle of a transfer
OK: Final = "ok"
_NO: Final = "no "


class BulkError(Exception):
    """The peer cannot do what it was asked, or sends what no correct one sends; the text says why."""


class BulkStream:
    """One end of a connection: lines, and the bytes of files."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._buffer = memoryview(bytearray(LINE_MAX))  # grows for a file: a stranger's stays small
        self._start = 0  # of what was received and not taken
        self._end: int = 0
        self.received_bytes: int = 0  #: of files
        self.sent_bytes: int = 0  #: likewise

    def send_line(self, text: str) -> None:
        """Send a line."""
        self._connection.settimeout(STALL_S)
        self._connection.sendall(f"{text}\n".encode())

    def receive_line(self, patience_s: float | None = STALL_S) -> str:
        """Return the next line; "" at the end of the stream. It may take so long, None for ever.

        Raises:
            BulkError: it is too long.
            OSError: the connection broke, or it takes too long.
        """
        self._connection.settimeout(patience_s)
        while (end := self._found(b"\n")) < 0:
            if self._end - self._start >= LINE_MAX:
                raise BulkError("a line is too long")
            if not self._receive(LINE_MAX):
                return ""
        line = bytes(self._buffer[self._start : end])
        self._start = end + 1
        return line.decode(errors="replace")

    def answer(self, patience_s: float | None = STALL_S) -> str:
        """Return what the peer answers.

        Raises:
            BulkError: it refuses.
            OSError: the connection broke, or it takes too long.
        """
        line = self.receive_line(patience_s)
        if not line:
            raise ConnectionResetError("the connection ended")
        if line.startswith(_NO):
            raise BulkError(line.removeprefix(_NO))
        return line

    def send_file(self, file: int, size: int) -> None:
        """Send so many bytes of a file.

        Raises:
            OSError: it cannot be read, or the connection broke.
        """
        self._connection.settimeout(STALL_S)
        chunk = memoryview(bytearray(min(CHUNK, size)))
        while size:
            count = os.readv(file, [chunk[:size]])
            if not count:
                raise OSError("the file has become shorter")
            self._send(chunk[:count])
            self.sent_bytes += count
            size -= count

    def receive_bytes(self, size: int) -> bytes:
        """Receive so many bytes; the caller bounds them.

        Raises:
            OSError: the connection broke.
        """
        self._connection.settimeout(STALL_S)
        self._widen()
        data = bytearray()
        while len(data) < size:
            if self._start == self._end and not self._receive(CHUNK):
                raise ConnectionResetError("the connection ended in the middle of a file")
            end = min(self._end, self._start + size - len(data))
            data += self._buffer[self._start : end]
            self._start = end
        return bytes(data)

    def receive_file(self, file: int, size: int) -> None:
        """Receive so many bytes into a file.

        Raises:
            BulkError: it cannot be written. All bytes were received, so that the peer reads an answer, not the end of
                the connection in the middle of what it sends.
            OSError: the connection broke.
        """
        self._connection.settimeout(STALL_S)
        self._widen()
        failed: OSError | None = None
        while size:
            while (have := self._end - self._start) < min(size, CHUNK):
                if not self._receive(min(size, CHUNK)):
                    raise ConnectionResetError("the connection ended in the middle of a file")
            have = min(have, size)
            if failed is None:
                failed = _write_all(file, self._buffer[self._start : self._start + have])
            self._start += have
            self.received_bytes += have
            size -= have
        if failed is not None:
            raise BulkError(f"the file cannot be written: {failed.strerror}") from failed

    def send_pieces(self, pieces: Sequence[memoryview]) -> None:
        """Send bytes from memory; small pieces travel together.

        Raises:
            OSError: the connection broke.
        """
        self._connection.settimeout(STALL_S)
        small: list[memoryview] = []
        size = 0
        for piece in pieces:
            if piece.nbytes < SMALL:
                small.append(piece)
                size += piece.nbytes
            if size >= CHUNK or piece.nbytes >= SMALL:
                self._send(memoryview(b"".join(small)))
                small, size = [], 0
            if piece.nbytes >= SMALL:
                self._send(piece)
        self._send(memoryview(b"".join(small)))

    def receive_into(self, memory: memoryview) -> None:
        """Receive bytes into memory, until it is full.

        Raises:
            OSError: the connection broke.
        """
        self._connection.settimeout(STALL_S)
        have = min(self._end - self._start, memory.nbytes)
        memory[:have] = self._buffer[self._start : self._start + have]
        self._start += have
        while have < memory.nbytes:
            count = self._connection.recv_into(memory[have : have + CHUNK])
            if not count:
                raise ConnectionResetError("the connection ended in the middle of a file")
            have += count

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def abort(self) -> None:
        """Make whoever uses the connection in another thread fail at once."""
        try:
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already

    def _send(self, data: memoryview) -> None:
        for at in range(0, data.nbytes, SLICE):  # each has its own time, which TLS counts for all that it is given
            self._connection.sendall(data[at : at + SLICE])

    def _widen(self) -> None:
        """Have room for large reads."""
        if self._buffer.nbytes < CHUNK:
            wide = memoryview(bytearray(CHUNK))
            wide[: self._end] = self._buffer[: self._end]
            self._buffer = wide

    def _found(self, byte: bytes) -> int:
        at = bytes(self._buffer[self._start : self._end]).find(byte)
        return at if at < 0 else self._start + at

    def _receive(self, most: int) -> int:
        """Receive until so many bytes are there, or fewer; return how many came."""
        if self._start:
            have = self._end - self._start
            self._buffer[:have] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, have
        count = self._connection.recv_into(self._buffer[self._end : most])
        self._end += count
        return count


def connect(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection to a server, of which nothing is known yet but its certificate.

    Raises:
        OSError: it does not answer.
    """
    plain = socket.create_connection((host, port), CONNECT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(plain, server_hostname="swell")
    except BaseException:
        plain.close()
        raise


def refusal(why: object) -> str:
    """Return the line that refuses something."""
    return _NO + " ".join(str(why).split())[: LINE_MAX // 4]


def _write_all(file: int, data: memoryview) -> OSError | None:
    """Write bytes to a file; return why that is not possible."""
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError as error:
        return error
    return None
