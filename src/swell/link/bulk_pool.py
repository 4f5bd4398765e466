"""The end of the bulk link that asks: connections to one server, each kept for the next transfer.

It is used in threads; a transfer has a connection to itself while it lasts. One that was kept may have ended
meanwhile: the server closes what it sees idle, and may have begun anew. Then so have the others, most likely, and the
transfer begins again with a new one, a few times if need be. This module must not know what is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from swell.link.bulk import BulkError, BulkStream, connect
from swell.link.certificate import TlsAddress, client_context, fingerprint_of

__all__ = ["BulkPool", "Transfer"]

R = TypeVar("R")

TRIES: Final = 3  #: of one transfer, with new connections
IDLE_MAX: Final = 4  #: connections that are kept


class Transfer:
    """One transfer, which another thread may end."""

    def __init__(self) -> None:
        self._stream: BulkStream | None = None
        self.is_aborted = False

    def begin(self, stream: BulkStream) -> None:
        """Note the connection that it has.

        Raises:
            OSError: it was ended.
        """
        self._stream = stream
        if self.is_aborted:
            raise ConnectionAbortedError("nobody waits for it any more")

    def end(self) -> None:
        """Note that its connection is free for others."""
        self._stream = None

    def abort(self) -> None:
        """End it: what it has sent counts for nothing, unless the server has all of it."""
        self.is_aborted = True
        if (stream := self._stream) is not None:
            stream.abort()


class BulkPool:
    """Connections to one server."""

    def __init__(self, server: TlsAddress, token: str, service: str = "") -> None:
        """Prepare.

        Args:
            server: where it listens.
            token: shows it who this is.
            service: what is asked for in the handshake, where several listen at one port.
        """
        self._server = server
        self._token = token
        self._context = client_context(service)
        self._idle: list[BulkStream] = []

    def run(self, act: Callable[[BulkStream], R], transfer: Transfer | None = None) -> R:
        """Return what a transfer returns; it may be begun several times.

        Raises:
            BulkError, OSError: it failed, or was ended.
        """
        transfer = transfer or Transfer()
        if (stream := self._kept()) is not None:
            try:
                return self._once(stream, transfer, act)
            except OSError:
                if transfer.is_aborted:
                    raise
                self.close()
        for left in reversed(range(TRIES)):
            try:
                return self._once(self._connect(), transfer, act)
            except OSError:
                if transfer.is_aborted or not left:
                    raise
        raise AssertionError("a last try returns or raises")

    def close(self) -> None:
        """Close the connections that are not in use."""
        while (stream := self._kept()) is not None:
            stream.close()

    def _kept(self) -> BulkStream | None:
        """Take a connection that was kept; None if there is none."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _once(self, stream: BulkStream, transfer: Transfer, act: Callable[[BulkStream], R]) -> R:
        try:
            transfer.begin(stream)
            found = act(stream)
        except BaseException:
            stream.close()
            raise
        transfer.end()
        if len(self._idle) < IDLE_MAX:
            self._idle.append(stream)
        else:
            stream.close()
        return found

    def _connect(self) -> BulkStream:
        host, port = self._server.host, self._server.port
        connection = connect(host, port, self._context)
        stream = BulkStream(connection)
        if fingerprint_of(connection.getpeercert(binary_form=True)) != self._server.fingerprint:
            stream.close()
            raise BulkError(f"another server answers at {host} port {port}: its fingerprint differs")
        stream.send_line(self._token)
        return stream
