"""The bundles of a node: each is fetched once, when the first container needs it, and laid out as the server does.

A bundle stays while a container holds it. Others stay for the next container, until the server says that no app uses
them, or their room is needed: that used longest ago goes first. This module must not know how an archive travels, or
what starts a container.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, Final

from swell.errors import InvalidError
from swell.link.bulk import BUNDLES_MAX, BulkError
from swell.wire import bundle

__all__ = ["BYTES_MAX", "AgentBundles"]

BYTES_MAX: Final = 1 << 30  #: of the files of all bundles together

OnReady = Callable[[str], None]  #: gets why a bundle cannot be had, "" if it is there


class _Bundle:
    """One bundle: on its way, or laid out."""

    def __init__(self) -> None:
        self.is_there = False
        self.is_unwanted = False  #: no app uses it
        self.size = 0  #: bytes of its files
        self.holders: dict[str, OnReady] = {}


class AgentBundles:
    """Lays out bundles, and removes them."""

    def __init__(self, directory: str, fetch: Callable[[str], bytes], bytes_max: int = BYTES_MAX) -> None:
        """Prepare.

        Args:
            directory: for bundles, each under its digest.
            fetch: returns the archive of a bundle; called in a thread.
            bytes_max: what their files may take together.
        """
        self._directory = directory
        self._fetch = fetch
        self._bytes_max = bytes_max
        self._bundles: dict[str, _Bundle] = {}  # the one used longest ago first
        self._held: dict[str, str] = {}  # digests, by holder
        self._threads = ThreadPoolExecutor(BUNDLES_MAX, "bundles")  # each has a bundle in memory
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, digest: str, holder: str, ready: OnReady) -> None:
        """Call `ready` when a bundle is laid out, at once if it is; it stays until the holder releases it."""
        found = self._bundles.pop(digest, None)
        is_new = found is None
        known = self._bundles[digest] = found or _Bundle()
        known.holders[holder] = ready
        known.is_unwanted = False
        self._held[holder] = digest
        if known.is_there:
            ready("")
        elif is_new:
            task = asyncio.get_running_loop().create_task(self._lay_out(digest, known))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def is_awaited_by(self, holder: str) -> bool:
        """Tell whether a holder waits for its bundle."""
        digest = self._held.get(holder)
        return digest is not None and not self._bundles[digest].is_there

    def release(self, holder: str) -> None:
        """Let a bundle go; a holder that waited for it is not called any more. Unknown ones are ignored."""
        digest = self._held.pop(holder, None)
        if digest is None:
            return
        known = self._bundles[digest]
        del known.holders[holder]
        if known.is_unwanted:
            self.forget(digest)

    def forget(self, digest: str) -> None:
        """Remove a bundle that no app uses, when nobody holds it."""
        known = self._bundles.get(digest)
        if known is None:
            return
        known.is_unwanted = True
        if known.is_there and not known.holders:
            self._remove(digest)

    def close(self) -> None:
        """End the threads, once they are done with what they do."""
        self._threads.shutdown(wait=False)

    # ------------------------------------------------------------ laying out

    async def _lay_out(self, digest: str, known: _Bundle) -> None:
        why = ""
        try:
            files = await self._in_thread(self._files_of, digest)
            size = sum(map(len, files.values()))
            self._make_room(size)
            known.size = size
            await self._in_thread(partial(bundle.write, files, to_disk=False), self._path(digest))
            known.is_there = True
        except (InvalidError, BulkError, OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            why = f"the source files of the app cannot be laid out on the node: {error}"
        waiting = list(known.holders.items())
        if why:
            del self._bundles[digest]
            for holder, _ in waiting:
                del self._held[holder]
        for holder, ready in waiting:
            if why or holder in known.holders:  # one may have been released by the call of another
                ready(why)
        if known.is_unwanted and not why:
            self.forget(digest)

    def _files_of(self, digest: str) -> dict[str, bytes]:
        return bundle.checked(digest, self._fetch(digest))

    def _make_room(self, size: int) -> None:
        free = self._bytes_max - sum(known.size for known in self._bundles.values())
        idle = [digest for digest, known in self._bundles.items() if known.is_there and not known.holders]
        while free < size and idle:
            free += self._bundles[idle[0]].size
            self._remove(idle.pop(0))
        if free < size:
            raise InvalidError(
                f"they have {size:,} bytes, and {free:,} of {self._bytes_max:,} are free for source files there; "
                "containers use the others"
            )

    def _remove(self, digest: str) -> None:
        del self._bundles[digest]
        gone = self._path(f"~gone.{next(self._numbers)}")
        os.rename(self._path(digest), gone)  # at once, so that nobody finds a part of it
        self._threads.submit(shutil.rmtree, gone, True)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    async def _in_thread(self, function: Callable[[str], Any], argument: str) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, argument)
