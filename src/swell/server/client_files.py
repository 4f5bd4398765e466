"""Large values of clients on other machines, which have no directory in common with the server.

They fetch and store blobs over connections of their own, which threads serve (see `swell.bulk_service`), and show the
token on each. They keep some for their next values; the one that has been idle for longest makes room for another, and
the client that kept it connects anew. This module must not know what the values belong to.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Final

from swell.bulk_service import BulkService
from swell.link.bulk import BulkError, BulkStream

__all__ = ["ClientFiles"]

CONNECTIONS_MAX: Final = 256  #: of all clients
IDLE_S: Final = 60.0  #: how long a client may keep one for its next value


class ClientFiles:
    """Serves all clients. Implements `BulkPeer`; `close` ends it."""

    def __init__(self, directory: str, file_bytes_max: int, token: str, dropped: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            file_bytes_max: the longest file that a client may send.
            token: that clients have to show.
            dropped: called in any thread, with the name of a blob that is to be deleted.
        """
        self.service: Final = BulkService(directory, file_bytes_max, self._join, idle_s=IDLE_S)
        self._token = token.encode()
        self._dropped = dropped
        self._lock = threading.Lock()
        self._streams: set[BulkStream] = set()
        self._idle: dict[BulkStream, None] = {}  # those of them that wait for a request, the longest first
        self.name = "a client"
        self.is_gone = False

    def close(self) -> None:
        """End all connections. What is not sent whole by now is dropped."""
        self.service.close()
        with self._lock:
            self.is_gone = True
            streams = list(self._streams)
        for stream in streams:
            stream.abort()

    def _join(self, stream: BulkStream, token: str) -> ClientFiles | None:
        if not secrets.compare_digest(token.encode(errors="replace"), self._token):
            return None
        with self._lock:
            if self.is_gone:
                return None
            if len(self._streams) >= CONNECTIONS_MAX:
                self._make_room()
            self._streams.add(stream)
        return self

    def _make_room(self) -> None:
        """End the connection that has been idle for longest.

        Raises:
            BulkError: none is idle.
        """
        try:
            longest = next(iter(self._idle))
        except StopIteration:
            raise BulkError(
                f"the server carries {CONNECTIONS_MAX} values of clients at once, and no more; try again later"
            ) from None
        del self._idle[longest]
        self._streams.discard(longest)
        longest.abort()

    def begins(self, stream: BulkStream) -> None:
        """A connection is in use."""
        with self._lock:
            self._idle.pop(stream, None)

    def rests(self, stream: BulkStream) -> None:
        """A connection is idle."""
        with self._lock:
            if stream in self._streams:  # it may have been put out while it was found to be in use
                self._idle[stream] = None

    def takes(self, blob: str) -> None:
        """Clients keep no copies."""

    def has_not(self, blob: str) -> None:
        """Likewise."""

    def drops(self, blob: str) -> None:
        """Have a blob deleted that a client has read last."""
        self._dropped(blob)

    def left(self, stream: BulkStream) -> None:
        """A connection has ended."""
        with self._lock:
            self._streams.discard(stream)
            self._idle.pop(stream, None)
