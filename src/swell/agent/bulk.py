"""The agent's end of the bulk link: fetches files from the server, and sends it others.

It is called in threads. This module must not know who wants a file.
"""

from __future__ import annotations

import os

from swell.agent.shelf_space import ShelfSpace
from swell.link.bulk import BulkError, BulkStream
from swell.link.bulk_pool import BulkPool, Transfer
from swell.link.certificate import TlsAddress
from swell.wire.blob_file import new_blob, open_blob
from swell.wire.bundle import SIZE_MAX

__all__ = ["BulkClient"]


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
        self._pool = BulkPool(server, token)
        self._directory = directory
        self._space = space

    def fetch(self, name: str) -> None:
        """Fetch a blob, which is a copy on this shelf then.

        Raises:
            ShelfFull: there is no room for it.
            BulkError, OSError: it cannot be fetched.
        """
        self._pool.run(lambda stream: self._fetch(stream, name))

    def fetch_bundle(self, digest: str) -> bytes:
        """Return the archive of a bundle.

        Raises:
            BulkError, OSError: it cannot be fetched.
        """
        return self._pool.run(lambda stream: _bundle(stream, digest))

    def send(self, name: str, transfer: Transfer) -> None:
        """Send a blob of this shelf. When this returns, the server has it.

        Raises:
            BulkError, OSError: it cannot be sent, or the transfer was ended.
        """
        self._pool.run(lambda stream: self._send(stream, name), transfer)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.close()

    def _fetch(self, stream: BulkStream, name: str) -> None:
        size = _size(stream, name)
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


def _size(stream: BulkStream, name: str) -> int:
    """Ask for a file, and return how many bytes of it follow."""
    stream.send_line(f"get {name}")
    answer = stream.answer()
    if not answer.isdecimal():
        raise BulkError(f"{answer:.200} is no size")
    return int(answer)


def _bundle(stream: BulkStream, digest: str) -> bytes:
    size = _size(stream, digest)
    if size > SIZE_MAX:
        raise BulkError(f"the archive of bundle {digest} has {size:,} bytes, over the limit of {SIZE_MAX:,}")
    return stream.receive_bytes(size)
