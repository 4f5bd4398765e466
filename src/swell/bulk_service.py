"""Serves the blobs of a directory over bulk connections: `get` and `put`, as `swell.link.bulk` has them, and `drop`.

What a peer sends counts from the moment at which its last byte is there, and, if it is kept, is on the disk; if the
peer is lost before that, it never was. This module must not know who the peers are, or how they connect.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Final, Protocol

from swell.link.bulk import OK, BulkError, BulkStream, refusal
from swell.wire.blob_file import new_blob, open_blob
from swell.wire.blob_names import KEPT, is_blob_name

__all__ = ["BulkPeer", "BulkService", "delete_blob"]

log = logging.getLogger("swell.server")


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


class BulkService:
    """The blobs of one directory."""

    def __init__(self, directory: str, file_bytes_max: int) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            file_bytes_max: the longest file that a peer may send.
        """
        self.directory: Final = directory
        self._file_bytes_max = file_bytes_max

    def serve(self, peer: BulkPeer, stream: BulkStream, *, request: str) -> None:
        """Serve one request.

        Raises:
            BulkError: it is none, or the peer is not to be served further.
            OSError: the connection broke.
        """
        match request.split(" "):
            case ["get", name] if is_blob_name(name):
                self._get(peer, stream, name)
            case ["put", size, name] if is_blob_name(name) and size.isdecimal():
                self._put(peer, stream, name, int(size))
            case ["drop", name] if is_blob_name(name):
                peer.drops(name)
                stream.send_line(OK)
            case _:
                raise BulkError(f"{request:.200} is no request")

    def _get(self, peer: BulkPeer, stream: BulkStream, name: str) -> None:
        peer.takes(name)  # first: whoever deletes it from now on tells that peer
        try:
            file = open_blob(self.directory, name)
        except OSError as error:
            peer.has_not(name)
            stream.send_line(refusal(f"the server cannot read blob {name}: {error.strerror}"))
            return
        try:
            size = os.fstat(file).st_size
            stream.send_line(str(size))
            stream.send_file(file, size)
            log.debug("blob %s of %d bytes was sent to %s", name, size, peer.name)
        finally:
            os.close(file)

    def _put(self, peer: BulkPeer, stream: BulkStream, name: str, size: int) -> None:
        if why := self._refused(name, size):
            stream.send_line(refusal(why))
            return
        try:
            with new_blob(self.directory, name, to_disk=name.startswith(KEPT)) as file:
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
        folder = os.path.dirname(os.path.join(self.directory, name))
        try:
            space = os.statvfs(folder)
        except OSError as error:
            return f"the server cannot store blob {name}: {error.strerror}"
        free = space.f_bavail * space.f_frsize
        if size > free:
            return f"the server has no room for blob {name}: {size} bytes, and {free} are free in {folder}"
        return ""


def delete_blob(directory: str, name: str) -> bool:
    """Delete a blob, if it is there; return False if that is no name of one."""
    if not is_blob_name(name):
        return False
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, name))
    return True
