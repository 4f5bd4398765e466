"""What the blobs on a node's shelf may take, and which of them go when others need the room.

What is being written is reserved before the first byte of it is. Copies of blobs that the server has stay for as long
as there is room: the one that was asked for longest ago goes first, unless somebody is about to open it. All of it may
be called in any thread. This module must not know where blobs come from.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Generator

__all__ = ["Copy", "Reservation", "ShelfFull", "ShelfSpace"]


class ShelfFull(Exception):
    """There is no room for a blob; the text gives value, bound and fix."""


class Reservation:
    """Room for one blob, as long as it is written."""

    def __init__(self, space: ShelfSpace, size: int) -> None:
        self._space = space
        self.size = size

    def keep(self, name: str) -> None:
        """Make the blob a copy that stays."""
        self._space.add(name, self)


class Copy:
    """A copy of a blob that the server has."""

    __slots__ = ("pins", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.pins = 0  #: how many are about to open it


class ShelfSpace:
    """The room on one shelf."""

    def __init__(self, directory: str, bytes_max: int) -> None:
        """Begin with an empty shelf.

        Args:
            directory: of the blobs.
            bytes_max: what they may take together.
        """
        self._directory = directory
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._copies: OrderedDict[str, Copy] = OrderedDict()  # that asked for longest ago first
        self._used = 0  # bytes of copies and reservations

    @contextlib.contextmanager
    def reserve(self, size: int) -> Generator[Reservation]:
        """Reserve room, within the block unless it is kept; copies make room for it.

        Raises:
            ShelfFull: there is not so much, even without copies.
        """
        reservation = Reservation(self, size)
        with self._lock:
            self._make_room(size)
            self._used += size
        try:
            yield reservation
        finally:
            with self._lock:
                self._used -= reservation.size

    def add(self, name: str, reservation: Reservation) -> None:
        """Turn what is reserved into a copy."""
        with self._lock:
            former = self._copies.pop(name, None)
            if former is not None:
                self._used -= former.size
            self._copies[name] = Copy(reservation.size)
            reservation.size = 0

    def pin(self, name: str) -> Copy | None:
        """Let a copy stay until `unpin`; return None if there is none."""
        with self._lock:
            copy = self._copies.get(name)
            if copy is not None:
                copy.pins += 1
                self._copies.move_to_end(name)
            return copy

    def unpin(self, copy: Copy) -> None:
        """Let a copy go when its room is needed."""
        with self._lock:
            copy.pins -= 1

    def remove(self, name: str) -> None:
        """Delete a blob, if it is there."""
        with self._lock:
            self._remove(name)

    def _make_room(self, size: int) -> None:
        if size > self._bytes_max:
            raise ShelfFull(
                f"{size} bytes are more than the shelf of this node may hold: {self._bytes_max} (node_blob_bytes_max)"
            )
        while self._used + size > self._bytes_max or self._free() < size:
            oldest = next((name for name, copy in self._copies.items() if not copy.pins), None)
            if oldest is None:
                raise ShelfFull(
                    f"the shelf of this node is full: {size} bytes are needed, {self._used} of {self._bytes_max} "
                    f"(node_blob_bytes_max) are in use, and {self._free()} are free in {self._directory}"
                )
            self._remove(oldest)

    def _free(self) -> int:
        space = os.statvfs(self._directory)
        return space.f_bavail * space.f_frsize

    def _remove(self, name: str) -> None:
        copy = self._copies.pop(name, None)
        if copy is not None:
            self._used -= copy.size
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._directory, name))
