"""What containers wrote, kept in files: one pair for each app, of which the older is dropped when the newer is full.

Both are dropped when nothing was written to them for long, so that short-lived apps leave no files for ever. A line of
a file is one JSON object with what was written at once. Files are read in a thread, so that a search does not block the
server. This module must not know its readers, or their reasons.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec import Struct, field

from swell.errors import InvalidError
from swell.names import shown_name
from swell.private_files import open_file

__all__ = ["ContainerLogs", "LogChunk", "LogFilter", "LogFollower"]

log = logging.getLogger("swell.server")

OPEN_MAX = 64  #: files kept open
EXPIRE_EVERY_S = 3_600.0  #: how often expired files are looked for, at most
PIECE_MAX = 256 << 10  #: characters of one piece
CHUNKS_MAX = 256  #: chunks of one piece: they are sent in a millisecond or two


class LogChunk(Struct, frozen=True, omit_defaults=True):
    """Lines that a container wrote at one moment."""

    at: float = field(name="t")
    app_id: str = field(name="a")
    function: str = field(name="f")
    container_id: str = field(name="c")
    stream: str = field(name="s")
    text: str = field(name="x")
    call_ids: tuple[str, ...] = field(name="i", default=())


class LogFilter(Struct, frozen=True):
    """Selects chunks. Empty fields select all."""

    app_id: str
    container_id: str = ""
    function: str = ""
    call_id: str = ""
    stream: str = ""
    search: str = ""
    since: float | None = None
    until: float | None = None
    tail: int | None = None

    def matches(self, chunk: LogChunk) -> bool:
        """Tell whether a chunk is selected."""
        return (
            (not self.container_id or chunk.container_id == self.container_id)
            and (not self.function or shown_name(chunk.function) == self.function)
            and (not self.call_id or self.call_id in chunk.call_ids)
            and (not self.stream or chunk.stream == self.stream)
            and (not self.search or self.search in chunk.text)
            and (self.since is None or chunk.at >= self.since)
            and (self.until is None or chunk.at <= self.until)
        )


class LogFollower(NamedTuple):
    """A reader that gets chunks as they are written."""

    filter: LogFilter
    show: Callable[[LogChunk], None]
    end: Callable[[], None]  #: called once, when nothing more can be written


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(LogChunk).decode


class ContainerLogs:
    """Writes what containers print, and reads it back.

    Args:
        directory: of the files; None for a server that keeps nothing.
        bytes_max: bytes of one app's files together.
        keep_s: how long a file is kept after the last write to it.
    """

    def __init__(self, directory: Path | None, bytes_max: int, keep_s: float) -> None:
        self._directory = directory
        self._half = bytes_max // 2
        self._keep_s = keep_s
        self._expired_at = 0.0
        self._files: dict[str, BinaryIO] = {}  # by app, the one unused longest first
        self._followers: dict[int, LogFollower] = {}  # by reader
        self._followers_of: dict[str, dict[int, LogFollower]] = {}  # by app and reader
        self._failed = False

    def write(self, chunk: LogChunk) -> None:
        """Write a chunk, and pass it to the followers of its app."""
        for follower in list(self._followers_of.get(chunk.app_id, {}).values()):
            if follower.filter.matches(chunk):
                follower.show(chunk)
        if self._directory is None:
            return
        try:
            if chunk.at >= self._expired_at + EXPIRE_EVERY_S:
                self._expired_at = chunk.at
                self._drop_old(self._directory, chunk.at - self._keep_s)
            file = self._file(chunk.app_id)
            file.write(_encoder.encode(chunk) + b"\n")
            file.flush()
            if file.tell() > self._half:
                self._rotate(chunk.app_id)
            self._failed = False
        except (OSError, InvalidError) as error:
            if not self._failed:  # once: a full disk fails every line
                log.warning("what containers write cannot be kept in %s: %s", self._directory, error)
            self._failed = True

    def _file(self, app_id: str) -> BinaryIO:
        file = self._files.pop(app_id, None)
        if file is None:
            if len(self._files) >= OPEN_MAX:
                self._files.pop(next(iter(self._files))).close()
            path = self._path(app_id)
            file = os.fdopen(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
            if _is_cut_off(path):
                file.write(b"\n")  # or the next line would be lost with that one
        self._files[app_id] = file
        return file

    def _drop_old(self, directory: Path, written_before: float) -> None:
        for path in directory.iterdir():
            if path.lstat().st_mtime < written_before:
                file = self._files.pop(path.name.partition(".")[0], None)
                if file is not None:
                    file.close()
                path.unlink()

    def _rotate(self, app_id: str) -> None:
        """Begin a new file; the one before the last is dropped."""
        self._files.pop(app_id).close()
        self._path(app_id).rename(self._older(app_id))

    def _path(self, app_id: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{app_id}.jsonl"

    def _older(self, app_id: str) -> Path:
        return self._path(app_id).with_suffix(".old.jsonl")

    # ------------------------------------------------------------ reading

    async def read(self, log_filter: LogFilter) -> AsyncGenerator[list[LogChunk], None]:
        """Yield the selected chunks, in order of time, a piece at a time: a slow reader holds little memory.

        Raises:
            OSError: the files cannot be read.
        """
        if self._directory is None:
            return
        opened = ExitStack()
        work: asyncio.Future[Any] = asyncio.ensure_future(asyncio.to_thread(self._chunks, log_filter, opened))
        try:
            chunks: Iterator[LogChunk] = await asyncio.shield(work)
            while True:
                work = asyncio.ensure_future(asyncio.to_thread(_piece, chunks))
                piece: list[LogChunk] = await asyncio.shield(work)
                if not piece:
                    break
                yield piece
        finally:
            # A reader that leaves does not stop the thread that opens or reads the files: they are closed after it.
            if work.done():
                opened.close()
            else:
                work.add_done_callback(partial(_close_after, opened))

    def _chunks(self, log_filter: LogFilter, opened: ExitStack) -> Iterator[LogChunk]:
        """Open the files and return the selected chunks; if `tail` bounds them, they are counted first."""
        files = self._open_both(log_filter.app_id, opened)
        if log_filter.tail is None:
            return _found(files, log_filter)
        count = sum(1 for _ in _found(files, log_filter))
        for file in files:
            file.seek(0)
        # What is written after they were counted is left out: a follower gets it as it is written.
        return islice(_found(files, log_filter), min(count, max(0, count - log_filter.tail)), count)

    def _open_both(self, app_id: str, opened: ExitStack) -> list[BinaryIO]:
        """Open the files of an app, the older first. The newer one may be written to or rotated at any moment."""
        while True:
            newer, older = _opened(self._path(app_id), opened), _opened(self._older(app_id), opened)
            if _is_still_at(self._path(app_id), newer):  # else it was rotated in between
                return [file for file in (older, newer) if file is not None]

    def follow(self, number: int, follower: LogFollower) -> None:
        """Pass new chunks to a follower from now on; `number` names the reader, which has one follower at a time."""
        self.leave(number)
        self._followers[number] = follower
        self._followers_of.setdefault(follower.filter.app_id, {})[number] = follower

    def has_follower(self, number: int) -> bool:
        """Tell whether a reader has a follower."""
        return number in self._followers

    def leave(self, number: int) -> None:
        """Remove a reader's follower."""
        follower = self._followers.pop(number, None)
        if follower is not None:
            of_app = self._followers_of[follower.filter.app_id]
            del of_app[number]
            if not of_app:
                del self._followers_of[follower.filter.app_id]

    def ended(self, app_id: str, container_id: str = "") -> None:
        """End the followers of an app, or of one container of it: nothing more can be written."""
        for number, follower in list(self._followers_of.get(app_id, {}).items()):
            if not container_id or follower.filter.container_id == container_id:
                self.leave(number)
                follower.end()

    def close(self) -> None:
        """Release the files. Safe to call twice."""
        for file in self._files.values():
            with suppress(OSError):  # the disk is full, which was logged: what was not written is lost
                file.close()
        self._files.clear()


def _close_after(opened: ExitStack, work: asyncio.Future[Any]) -> None:
    """Close the files of a reader that has left, now that no thread uses them any more."""
    if not work.cancelled():
        work.exception()  # nobody waits for it
    opened.close()


def _found(files: Sequence[BinaryIO], log_filter: LogFilter) -> Iterator[LogChunk]:
    for file in files:
        for line in file:
            try:
                chunk = _decode(line)
            except msgspec.DecodeError:
                continue  # cut off when a server was killed, or not written yet
            if log_filter.matches(chunk):
                yield chunk


def _piece(chunks: Iterator[LogChunk]) -> list[LogChunk]:
    """Return the next piece; an empty one at the end."""
    piece: list[LogChunk] = []
    size = 0
    for chunk in chunks:
        piece.append(chunk)
        size += len(chunk.text)
        if size >= PIECE_MAX or len(piece) >= CHUNKS_MAX:
            break
    return piece


def _opened(path: Path, opened: ExitStack) -> BinaryIO | None:
    try:
        return opened.enter_context(open(open_file(path, os.O_RDONLY), "rb"))
    except FileNotFoundError:
        return None


def _is_still_at(path: Path, file: BinaryIO | None) -> bool:
    """Tell whether a path leads to an open file; for None, whether it leads nowhere."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return file is None
    return file is not None and os.path.samestat(found, os.fstat(file.fileno()))


def _is_cut_off(path: Path) -> bool:
    """Tell whether the last line of a file has no end: a server was killed while it wrote it."""
    with open(open_file(path, os.O_RDONLY), "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"
