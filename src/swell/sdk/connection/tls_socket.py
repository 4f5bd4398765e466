"""A connection over TCP and TLS to a server on another machine, used as a link uses a socket of this machine.

One thread reads while others send, which the library of TLS does not allow on one object. So the socket and TLS are
apart: TLS turns bytes into bytes, in memory and under a lock, and never waits; what waits is the plain socket, without
the lock. The server is recognized by the fingerprint of its certificate before anything is sent to it.

This module must not know messages.
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Final

from swell.errors import AuthError, ConnectionError
from swell.link.certificate import MESSAGES, TlsAddress, client_context, fingerprint_of

__all__ = ["TlsSocket", "check_fingerprint", "connect_tls"]

CONNECT_S: Final = 10.0  #: how long connecting may take and, after it, the handshake
_READ_BYTES: Final = 256 << 10
_RECORD: Final = 16 << 10  #: bytes that TLS gives at once
_WRITE_BYTES: Final = 256 << 10

#: A server that has vanished without a word is noticed after so long.
_SILENCE_S: Final = 60
_PROBE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class TlsSocket:
    """What a blocking link uses of a socket."""

    def __init__(self, plain: socket.socket, address: TlsAddress) -> None:
        """Shake hands over a connection.

        Raises:
            AuthError: another server answers there.
            OSError: the connection broke, or the handshake takes too long.
        """
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context(MESSAGES).wrap_bio(self._incoming, self._outgoing, server_hostname="swell")
        self._lock = threading.RLock()  # of TLS; reentrant, for what a signal handler sends
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._unsent = memoryview(b"")  # encrypted, and not taken by the kernel yet
        self._taken = 0  # bytes of which that is
        self._shake_hands()
        check_fingerprint(address, self._tls.getpeercert(binary_form=True))

    def _shake_hands(self) -> None:
        self._plain.settimeout(CONNECT_S)
        while True:
            try:
                self._tls.do_handshake()
                is_over = True
            except ssl.SSLWantReadError:
                is_over = False
            self._plain.sendall(self._outgoing.read())
            if is_over:
                self._plain.settimeout(None)
                return
            data = self._plain.recv(_RECORD)
            if not data:
                raise ConnectionResetError("the server ended the handshake")
            self._incoming.write(data)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send bytes without waiting; return how many were sent.

        After a BlockingIOError, the same bytes are to be given again.

        Raises:
            BlockingIOError: the kernel takes no more now.
            OSError: the connection broke.
        """
        with self._lock:
            if not self._unsent:
                self._taken = min(len(data), _WRITE_BYTES)
                self._tls.write(data[: self._taken])
                self._unsent = memoryview(self._outgoing.read())
            while self._unsent:
                sent = self._plain.send(self._unsent, flags | socket.MSG_DONTWAIT)
                self._unsent = self._unsent[sent:]
            return self._taken

    def recv(self, _size: int, /) -> bytes:
        """Return what has arrived, waiting for something to arrive; b"" at the end.

        Raises:
            BlockingIOError: no whole record has arrived, or nothing in the time that the socket is set to.
            OSError: the connection broke.
        """
        count = self._plain.recv_into(self._buffer)
        with self._lock:
            if not count:
                return b""
            self._incoming.write(self._buffer[:count])
            pieces: list[bytes] = []
            try:
                while piece := self._tls.read(_RECORD):
                    pieces.append(piece)
            except ssl.SSLWantReadError:
                if not pieces:
                    raise BlockingIOError from None
            except ssl.SSLZeroReturnError:  # the server has ended it in order
                pass
        return b"".join(pieces)

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        """Set an option of the socket."""
        self._plain.setsockopt(level, name, value)

    def fileno(self) -> int:
        """Return its descriptor, for polling: nothing that was read of it waits here."""
        return self._plain.fileno()

    def shutdown(self, how: int) -> None:
        """Make whoever waits fail at once."""
        self._plain.shutdown(how)

    def close(self) -> None:
        """End the connection."""
        self._plain.close()


def connect_tls(text: str) -> TlsSocket:
    """Connect to a server on another machine, at tls://HOST:PORT#FINGERPRINT.

    Raises:
        ConnectionError: no server listens there.
        AuthError: another server does.
        InvalidError: that is no address.
    """
    address = TlsAddress.parse(text)
    try:
        plain = open_tcp(address)
    except OSError as error:
        raise ConnectionError(f"no server listens at {text}: {error.strerror or error}") from None
    try:
        return TlsSocket(plain, address)
    except OSError as error:
        plain.close()
        raise ConnectionError(f"no server of swell answers at {text}: {error}") from None
    except BaseException:
        plain.close()
        raise


def open_tcp(address: TlsAddress) -> socket.socket:
    """Return a TCP connection to a server.

    Raises:
        OSError: nobody listens there.
    """
    plain = socket.create_connection((address.host, address.port), CONNECT_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBE:
        plain.setsockopt(socket.IPPROTO_TCP, option, value)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_S * 1_000)
    return plain


def check_fingerprint(address: TlsAddress, certificate: bytes | None) -> None:
    """Refuse another server than the one with that address.

    Raises:
        AuthError: names both fingerprints.
    """
    found = fingerprint_of(certificate)
    if found != address.fingerprint:
        raise AuthError(
            f"the server at {address.host}:{address.port} is not the one that SWELL_SERVER names, and nothing was sent "
            f"to it: its fingerprint is {found}, and {address.fingerprint} was expected. If its certificate was "
            "renewed, `swell status` on its machine shows the new address"
        )
