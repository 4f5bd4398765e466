"""Large values of clients on other machines, which have no directory in common with the server.

They fetch and store blobs over connections of their own, which threads serve (see `swell.bulk_service`), and show the
token on each. This module must not know what the values belong to.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Final

from swell.bulk_service import BulkService
from swell.link.bulk import BulkStream

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
            if self.is_gone or len(self._streams) >= CONNECTIONS_MAX:
                return None
            self._streams.add(stream)
        return self

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
