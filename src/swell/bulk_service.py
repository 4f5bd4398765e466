"""Serves the blobs of a directory over bulk connections: `get` and `put`, as `swell.link.bulk` has them, and `drop`.

To agents, it serves the archives of bundles as well.

Each connection has a thread, from its handshake on. Those that have shown no token yet are few, and the oldest makes
room for the next. One that cannot be served now is told why in answer to its first request. What a peer sends counts
from the moment at which its last byte is there, and, if it is kept, is on the disk; if the peer is lost before that, it
never was.

This module must not know who the peers are, or where they connect.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, Protocol

from swell.ids import is_digest
from swell.link.bulk import CONNECT_S, OK, BulkError, BulkStream, refusal
from swell.wire.blob_file import new_blob, open_blob
from swell.wire.blob_names import KEPT, is_blob_name

__all__ = ["STRANGERS_MAX", "BulkPeer", "BulkService"]

log = logging.getLogger("swell.server")

STRANGERS_MAX: Final = 64  #: connections that have shown no token yet


class BulkPeer(Protocol):
    """Who is at the other end of a connection."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    @property
    def is_gone(self) -> bool:
        """True if what it sends counts no more."""
        ...

    def takes(self, blob: str) -> None:
        """It is about to get a blob. Raises BulkError if it may not."""
        ...

    def has_not(self, blob: str) -> None:
        """It did not get that blob after all."""
        ...

    def drops(self, blob: str) -> None:
        """It has a blob deleted. Raises BulkError if it may not."""
        ...

    def begins(self, stream: BulkStream) -> None:
        """It has asked for something over one of its connections."""
        ...

    def rests(self, stream: BulkStream) -> None:
        """It has what it asked for: that connection is idle."""
        ...

    def left(self, stream: BulkStream) -> None:
        """One of its connections has ended."""
        ...


class BulkService:
    """The blobs of one directory, and bundles of another.

    `close` ends the threads of strangers; peers are ended by who let them in.
    """

    def __init__(
        self,
        directory: str,
        file_bytes_max: int,
        join: Callable[[BulkStream, str], BulkPeer | None],
        *,
        bundle_dir: str | None = None,
        idle_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            file_bytes_max: the longest file that a peer may send.
            join: returns who shows a token on a connection, None if nobody is to be served there. Raises BulkError if
                it cannot be served now.
            bundle_dir: of the archives of bundles, each under its digest; None: peers get none.
            idle_s: how long a connection may be idle; None: for ever.
        """
        self._directory = directory
        self._bundle_dir = bundle_dir
        self._file_bytes_max = file_bytes_max
        self._join = join
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._strangers: dict[ssl.SSLSocket, None] = {}  # the oldest first

    def begin(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        """Serve a connection in a thread, to its end.

        Raises:
            OSError, RuntimeError: it is gone, or no thread can be started; the connection is closed then.
        """
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stranger = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._strangers) >= STRANGERS_MAX:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                _shut(oldest)
            self._strangers[stranger] = None
        try:
            threading.Thread(target=self._meet, args=(stranger,), name="bulk", daemon=True).start()
        except RuntimeError:
            self._forget(stranger)
            stranger.close()
            raise

    def close(self) -> None:
        """End the connections of strangers."""
        with self._lock:
            strangers = list(self._strangers)
        for connection in strangers:
            _shut(connection)

    def delete(self, name: str) -> bool:
        """Delete a blob, if it is there; return False if that is no name of one."""
        if not is_blob_name(name):
            return False
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._directory, name))
        return True

    # ------------------------------------------------------------ threads

    def _meet(self, connection: ssl.SSLSocket) -> None:
        try:
            connection.settimeout(CONNECT_S)
            connection.do_handshake()
            stream = BulkStream(connection)
            peer = self._joined(stream)
            self._forget(connection)
            if peer is not None:
                self._serve(peer, stream)
        except (OSError, BulkError) as error:
            log.debug("a connection for files has ended: %s", error)
        finally:
            self._forget(connection)
            connection.close()

    def _joined(self, stream: BulkStream) -> BulkPeer | None:
        """Return who is at the other end, None if nobody is to be served there."""
        token = stream.receive_line(CONNECT_S)
        try:
            return self._join(stream, token)
        except BulkError as error:
            if stream.receive_line(CONNECT_S):
                stream.send_line(refusal(error))
            raise

    def _forget(self, stranger: ssl.SSLSocket) -> None:
        with self._lock:
            self._strangers.pop(stranger, None)

    def _serve(self, peer: BulkPeer, stream: BulkStream) -> None:
        try:
            while request := stream.receive_line(self._idle_s):
                peer.begins(stream)
                match request.split(" "):
                    case ["get", digest] if self._bundle_dir is not None and is_digest(digest):
                        self._get(peer, stream, self._bundle_dir, digest)
                    case ["get", name] if is_blob_name(name):
                        self._get(peer, stream, self._directory, name)
                    case ["put", size, name] if is_blob_name(name) and size.isdecimal():
                        self._put(peer, stream, name, int(size))
                    case ["drop", name] if is_blob_name(name):
                        peer.drops(name)
                        stream.send_line(OK)
                    case _:
                        raise BulkError(f"{request:.200} is no request")
                peer.rests(stream)
        finally:
            peer.left(stream)

    def _get(self, peer: BulkPeer, stream: BulkStream, directory: str, name: str) -> None:
        peer.takes(name)  # first: whoever deletes it from now on tells that peer
        try:
            file = open_blob(directory, name)
        except OSError as error:
            peer.has_not(name)
            stream.send_line(refusal(f"the server cannot read {name}: {error.strerror}"))
            return
        try:
            size = os.fstat(file).st_size
            stream.send_line(str(size))
            stream.send_file(file, size)
            log.debug("file %s of %d bytes was sent to %s", name, size, peer.name)
        finally:
            os.close(file)

    def _put(self, peer: BulkPeer, stream: BulkStream, name: str, size: int) -> None:
        if why := self._refused(name, size):
            stream.send_line(refusal(why))
            return
        try:
            with new_blob(self._directory, name, to_disk=name.startswith(KEPT)) as file:
                stream.send_line(OK)
                stream.receive_file(file, size)
                if peer.is_gone:
                    raise BulkError(f"{peer.name} is gone")
        except (OSError, BulkError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            with contextlib.suppress(OSError):  # the connection may be what has failed
                stream.send_line(refusal(f"the server cannot store blob {name}: {why}"))
            raise
        log.debug("blob %s of %d bytes came from %s", name, size, peer.name)
        stream.send_line(OK)

    def _refused(self, name: str, size: int) -> str:
        """Return why a file is not taken, before a byte of it has come."""
        if size > self._file_bytes_max:
            return f"blob {name} has {size} bytes, over the limit of {self._file_bytes_max} (payload_max)"
        folder = os.path.dirname(os.path.join(self._directory, name))
        try:
            space = os.statvfs(folder)
        except OSError as error:
            return f"the server cannot store blob {name}: {error.strerror}"
        free = space.f_bavail * space.f_frsize
        if size > free:
            return f"the server has no room for blob {name}: {size} bytes, and {free} are free in {folder}"
        return ""


def _shut(connection: socket.socket) -> None:
    """Make whoever uses a connection in another thread fail at once."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
