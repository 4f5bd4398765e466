"""The agent's end of the bulk link: fetches files from the server, and sends it others.

It is called in threads; a transfer has a connection to itself while it lasts. One whose connection breaks begins again
with another: while the link to the server is there, the server is. This module must not know who wants a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from swell.agent.shelf_space import ShelfSpace
from swell.link.bulk import BulkError, BulkStream, connect
from swell.link.certificate import TlsAddress, client_context, fingerprint_of
from swell.wire.blob_file import new_blob, open_blob

__all__ = ["BulkClient", "Transfer"]

TRIES: Final = 3  #: of one transfer


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


class BulkClient:
    """Fetches and sends blobs."""

    def __init__(self, server: TlsAddress, token: str, directory: str, space: ShelfSpace) -> None:
        """Prepare.

        Args:
            server: where it listens for this.
            token: shows it which agent this is.
            directory: of the blobs here.
            space: what they may take.
        """
        self._server = server
        self._token = token
        self._directory = directory
        self._space = space
        self._context = client_context()
        self._idle: list[BulkStream] = []

    def fetch(self, name: str) -> None:
        """Fetch a blob, which is a copy on this shelf then.

        Raises:
            ShelfFull: there is no room for it.
            BulkError, OSError: it cannot be fetched.
        """
        self._try(Transfer(), lambda stream: self._fetch(stream, name))

    def send(self, name: str, transfer: Transfer) -> None:
        """Send a blob of this shelf. When this returns, the server has it.

        Raises:
            BulkError, OSError: it cannot be sent, or the transfer was ended.
        """
        self._try(transfer, lambda stream: self._send(stream, name))

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _fetch(self, stream: BulkStream, name: str) -> None:
        stream.send_line(f"get {name}")
        answer = stream.answer()
        if not answer.isdecimal():
            raise BulkError(f"{answer:.200} is no size")
        size = int(answer)
        with self._space.reserve(size) as reservation:
            with new_blob(self._directory, name, to_disk=False) as file:
                stream.receive_file(file, size)
            reservation.keep(name)

    def _send(self, stream: BulkStream, name: str) -> None:
        file = open_blob(self._directory, name)
        try:
            size = os.fstat(file).st_size
            stream.send_line(f"put {size} {name}")
            stream.answer()
            stream.send_file(file, size)
            stream.answer(patience_s=None)  # its disk may be slow, and the link tells whether it lives
        finally:
            os.close(file)

    def _try(self, transfer: Transfer, act: Callable[[BulkStream], None]) -> None:
        for left in reversed(range(TRIES)):
            try:
                return self._once(transfer, act)
            except OSError:
                if transfer.is_aborted or not left:
                    raise
        return None

    def _once(self, transfer: Transfer, act: Callable[[BulkStream], None]) -> None:
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = self._connect()
        try:
            transfer.begin(stream)
            act(stream)
        except BaseException:
            stream.close()
            raise
        transfer.end()
        self._idle.append(stream)

    def _connect(self) -> BulkStream:
        host, port = self._server.host, self._server.port
        connection = connect(host, port, self._context)
        stream = BulkStream(connection)
        if fingerprint_of(connection.getpeercert(binary_form=True)) != self._server.fingerprint:
            stream.close()
            raise BulkError(f"another server answers at {host} port {port}: its fingerprint differs")
        stream.send_line(self._token)
        return stream
