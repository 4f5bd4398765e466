"""The journal: records that are durable already, and wait to be written into the database.

To make one spawn durable, SQLite writes five pages into its log. One small write is enough: the records as they are,
behind those before. The database takes them in later, many in one transaction, and forgets what has come and gone.

    event loop:  append ─▶ segment ── written and synced, so answered ──▶ (as a job) ─▶ writer's thread: database
    next start:            segment ── what the database does not have ─────────────────────────────────▶ database

Frames are numbered without gaps, for as long as the database exists. With the records of a frame, the database notes
its number, in the same transaction: so each is written once, whenever the process or the machine ends.

There are two segments, files of a fixed size beside the database. One is written while the records of the other go into
the database; then they change places, and the other is written over from its start.

A frame is `magic size crc number records`, and zeros to the end of its last block: whole blocks can be written past
the system's cache, which saves a quarter of what a small synced write costs. The crc begins with the database's
identity, so that a database that was put in the place of another does not take in its journal. The first frame that is
damaged ends a segment: it is a write that the end of the machine cut short, which was never answered, or a piece of
what was written over. What is left whole from before has a number that the database has passed.

This module must not know SQL, what records mean, or when they go into the database. It is the event loop's, but for
`read_journal`, and for opening it.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final
from zlib import crc32

from msgspec import Raw, msgpack

from swell.private_files import open_file
from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
)

__all__ = ["SEGMENT_BYTES", "SUFFIXES", "Journal", "read_journal", "remove_journal"]

SEGMENT_BYTES: Final = 4 << 20
SUFFIXES: Final = ("-accepted-0", "-accepted-1")  #: of the segments, behind the database's name

#: What a record is stored as. Numbers are kept for ever; new kinds are added behind.
_KINDS: Final[tuple[type[Any], ...]] = (
    CallRecord,
    CallGrown,
    SpanRecord,
    SpansDone,
    OutputsRecord,
    AttemptRecord,
    CallEnded,
)
_NUMBERS: Final[dict[type[Any], int]] = {kind: number for number, kind in enumerate(_KINDS)}
_MAGIC: Final = b"swj1"
_HEAD: Final = struct.Struct("<4sIIQ")  #: magic, bytes of records, checksum of number and records, number
_NUMBER: Final = struct.Struct("<Q")
_BLOCK: Final = 4_096  #: bytes: what disks and file systems take in one piece; frames begin at multiples of it


class Journal:
    """Two segments, of which one is written.

    Args:
        path: the database's.
        identity: the database's.
        last: the number of the last frame ever written, all of which are in the database.
        is_synced: a frame survives a power cut; else the end of any process alone.

    Raises:
        InvalidError: a file is not private.
        OSError: there is no room for the files, or they cannot be made.
    """

    def __init__(self, path: str, identity: int, last: int, *, is_synced: bool) -> None:
        self._seed = _seed(identity)
        self._paths = [path + suffix for suffix in SUFFIXES]
        self._files: list[int] = []
        self._last = last  # number of the last frame
        self._at = 0  # where the next one goes
        self._current = 0
        self._lasts = [last, last]  # of each segment, the number of its last frame
        self._written = last  # to this number, the database has them
        self._encoder = msgpack.Encoder()
        self._memory = memoryview(mmap.mmap(-1, SEGMENT_BYTES))  # begins where a page does, as direct writes need it
        try:
            for name in self._paths:
                self._files.append(_open(name, self._memory, is_synced=is_synced))
            _sync_directory(path)
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """The number of the last frame."""
        return self._last

    @property
    def is_written(self) -> bool:
        """True if the database has all frames."""
        return self._written == self._last

    @property
    def path(self) -> str:
        """The file that is written."""
        return self._paths[self._current]

    def frame(self, records: Iterable[Record]) -> bytes:
        """Return the next frame."""
        body = self._encoder.encode([(_NUMBERS[type(record)], record) for record in records])
        number = self._last + 1
        return _HEAD.pack(_MAGIC, len(body), _checksum(self._seed, number, body), number) + body

    def has_room(self, frame: bytes) -> bool:
        """True if a frame fits into the segment that is written."""
        return self._at + _blocks(len(frame)) <= SEGMENT_BYTES

    def append(self, frame: bytes) -> None:
        """Make the next frame durable; no frame at all needs nothing.

        Raises:
            OSError: perhaps it is durable, perhaps not.
        """
        if not frame:
            return
        size = _blocks(len(frame))
        self._memory[: len(frame)] = frame
        self._memory[len(frame) : size] = bytes(size - len(frame))
        _write(self._files[self._current], self._memory[:size], self._at)
        self._at += size
        self._last += 1
        self._lasts[self._current] = self._last

    def turn(self) -> bool:
        """Write the other segment from now on; False if the database lacks records that are there alone."""
        if self._lasts[1 - self._current] > self._written:
            return False
        self._current, self._at = 1 - self._current, 0
        return True

    def written(self, number: int) -> None:
        """Note that the database has all frames up to this one."""
        self._written = max(self._written, number)

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        files, self._files = self._files, []
        for file in files:
            os.close(file)


def remove_journal(path: str) -> None:
    """Remove the files beside a database, which must have all that is in them."""
    for suffix in SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def read_journal(path: str, identity: int, written: int) -> Iterator[tuple[int, list[Record]]]:
    """Yield the frames that a database does not have, in order: number and records.

    Args:
        path: the database's.
        identity: the database's.
        written: the number of the last frame that it has.

    Raises:
        InvalidError: a file is not private.
        OSError: a file cannot be read.
        ValueError: a frame is missing or cannot be read, though later ones are there.
    """
    segments = [list(_frames(path + suffix, _seed(identity), written)) for suffix in SUFFIXES]
    for number, body in sorted(frame for segment in segments for frame in segment):
        if number <= written:
            continue
        if number != written + 1:
            raise ValueError(f"frame {written + 1} is missing")
        written = number
        yield number, _decode(body)


def _frames(name: str, seed: int, written: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and body of each frame of a segment, as far as it goes.

    Raises:
        ValueError: it went on behind a frame that is damaged.
    """
    try:
        with open(open_file(name, os.O_RDONLY), "rb") as file:
            data = file.read(SEGMENT_BYTES)
    except FileNotFoundError:
        return
    at, last = 0, 0
    while frame := _frame_at(data, at, seed):
        last, body = frame
        yield frame
        at += _blocks(_HEAD.size + len(body))
    while (at := data.find(_MAGIC, at + 1)) > 0:
        following = _frame_at(data, at, seed)
        if following and following[0] > max(last, written):
            raise ValueError(f"{name} is damaged before frame {following[0]}")


def _frame_at(data: bytes, at: int, seed: int) -> tuple[int, bytes] | None:
    """Return number and body of a frame; None if there is none, or it is damaged."""
    if at + _HEAD.size > len(data):
        return None
    magic, size, checksum, number = _HEAD.unpack_from(data, at)
    body = data[at + _HEAD.size : at + _HEAD.size + size]
    return (number, body) if magic == _MAGIC and _checksum(seed, number, body) == checksum else None


def _decode(body: bytes) -> list[Record]:
    return [msgpack.decode(raw, type=_KINDS[kind]) for kind, raw in msgpack.decode(body, type=list[tuple[int, Raw]])]


def _seed(identity: int) -> int:
    """Return what the checksums of one database begin with, so that it takes no frame of another for its own."""
    return crc32(identity.to_bytes(8, "little", signed=True))


def _checksum(seed: int, number: int, body: bytes) -> int:
    return crc32(body, crc32(_NUMBER.pack(number), seed))


def _blocks(size: int) -> int:
    """Return the bytes of the blocks that a frame takes."""
    return -(-size // _BLOCK) * _BLOCK


def _open(name: str, zeros: memoryview, *, is_synced: bool) -> int:
    """Open a segment: if each write is to be synced, past the system's cache where the file system can do that."""
    flags = os.O_RDWR | os.O_CREAT
    if not is_synced:
        return _allocated(open_file(name, flags), zeros)
    try:
        return _allocated(open_file(name, flags | os.O_DSYNC | os.O_DIRECT), zeros)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _allocated(open_file(name, flags | os.O_DSYNC), zeros)


def _allocated(file: int, zeros: memoryview) -> int:
    """Have the file's blocks written once: a later write to them changes nothing but their content."""
    try:
        there = os.fstat(file).st_size // _BLOCK * _BLOCK
        _write(file, zeros[: max(0, SEGMENT_BYTES - there)], there)
        os.preadv(file, [mmap.mmap(-1, _BLOCK)], 0)  # fails if blocks of this disk are larger
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, data: memoryview, at: int) -> None:
    """Write all of it: what is written in part, for want of room, fails with its next part."""
    while data:
        count = os.pwrite(file, data, at)
        data, at = data[count:], at + count


def _sync_directory(path: str) -> None:
    """Make the names of new files durable."""
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
