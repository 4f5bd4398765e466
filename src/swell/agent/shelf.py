"""The shelf of a node, as its containers ask for it: what they miss is fetched, and what they write is published.

What is said over the socket is in `swell.wire.shelf`. A blob that several containers want at once travels once. What
was published is deleted here when the server has it: whoever wants it fetches it like any other, so that nobody reads a
result of a container that died before its result counted. A container that dies while its blob is sent ends that, for
the input runs again elsewhere.

This module must not know how files travel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from swell.agent.bulk import BulkClient
from swell.agent.shelf_space import ShelfFull, ShelfSpace
from swell.link.bulk import TRANSFERS_MAX, BulkError
from swell.link.bulk_pool import Transfer
from swell.wire.blob_file import remove_drafts
from swell.wire.blob_names import is_blob_name
from swell.wire.shelf import OK

__all__ = ["AgentShelf"]

FAILURES: Final = (ShelfFull, BulkError, OSError)


class AgentShelf:
    """Answers the containers of one node."""

    def __init__(self, directory: str, space: ShelfSpace, bulk: BulkClient, dropped: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            directory: of the blobs.
            space: what they may take.
            bulk: moves them.
            dropped: called with the name of a blob that nobody reads any more.
        """
        self._directory = directory
        self._space = space
        self._bulk = bulk
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(TRANSFERS_MAX, "bulk")
        self._fetches: dict[str, asyncio.Future[None]] = {}
        self._stores: dict[str, asyncio.Event] = {}  # set when they are over
        self._unwanted: set[str] = set()  # blobs that were deleted while they are fetched

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one container about one blob."""
        try:
            line = (await reader.readline()).decode(errors="replace").rstrip("\n")
            match line.split(" "):
                case ["fetch", name] if is_blob_name(name):
                    await self._fetch(name, reader, writer)
                case ["store", size, name] if is_blob_name(name) and size.isdecimal():
                    await self._store(name, int(size), reader, writer)
                case ["drop", name] if is_blob_name(name):
                    self.forget((name,))
                    self._dropped(name)
                case _:
                    _answer(writer, f"{line:.200} is no request")
        except FAILURES as error:
            _answer(writer, str(error))
        except ValueError:  # a line without end
            return
        finally:
            writer.close()

    def forget(self, names: tuple[str, ...]) -> None:
        """Delete what the server has deleted."""
        for name in names:
            if name in self._fetches:
                self._unwanted.add(name)
            self._space.remove(name)

    def close(self) -> None:
        """End the threads, once their transfers are over, and the connections."""
        self._threads.shutdown(wait=False)
        self._bulk.close()

    # ------------------------------------------------------------ fetching

    async def _fetch(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (copy := self._space.pin(name)) is None:
            await self._fetched(name)
        try:
            _answer(writer, OK)
            await reader.read(1)  # the end: it has opened the file
        finally:
            self._space.unpin(copy)

    async def _fetched(self, name: str) -> None:
        """Return when a blob was fetched, by whomever."""
        fetch = self._fetches.get(name)
        if fetch is None:
            fetch = self._fetches[name] = self._loop.run_in_executor(self._threads, self._bulk.fetch, name)
            fetch.add_done_callback(lambda _: self._fetch_ended(name))
        await asyncio.shield(fetch)

    def _fetch_ended(self, name: str) -> None:
        del self._fetches[name]
        if name in self._unwanted:
            self._unwanted.discard(name)
            self._space.remove(name)

    # ------------------------------------------------------------ publishing

    async def _store(self, name: str, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (other := self._stores.get(name)) is not None:
            await other.wait()  # of a container that has ended: its input runs again
        is_over = self._stores[name] = asyncio.Event()
        try:
            with self._space.reserve(size):
                _answer(writer, OK)
                if await reader.readline() == b"written\n" and self._size_of(name) <= size:
                    await self._publish(name, reader)
                    _answer(writer, OK)
                else:
                    remove_drafts(self._directory, name)
        finally:
            self._space.remove(name)
            del self._stores[name]
            is_over.set()

    async def _publish(self, name: str, reader: asyncio.StreamReader) -> None:
        """Send a blob, unless the container ends before that."""
        transfer = Transfer()
        sending = self._loop.run_in_executor(self._threads, self._bulk.send, name, transfer)
        leaving = asyncio.ensure_future(reader.read(1))
        leaving.add_done_callback(lambda _: None if sending.done() else transfer.abort())
        try:
            await sending
        finally:
            leaving.cancel()

    def _size_of(self, name: str) -> int:
        return os.stat(os.path.join(self._directory, name)).st_size


def _answer(writer: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(OSError):
        writer.write(f"{' '.join(text.split())}\n".encode())
