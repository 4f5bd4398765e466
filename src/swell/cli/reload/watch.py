"""Watches files, and returns those that were saved once a burst of saves is over.

Directories are watched, not files: editors put a new file in the place of the old one. This module must not know what
the files are, or what is done when one changes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["Watch"]

BURST_MS: Final = 50  #: without a further change, a burst is over
BURST_MAX_MS: Final = 1_000


class Watch:
    """Watches the files that were last given to `follow`."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}  # by the path at which a change is seen
        self._any_python = False
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by directory: kept, because a file may come back
        self._changed: set[str] = set()
        self._woken = asyncio.Event()

    async def follow(self, files: Iterable[str], since: float, *, any_python: bool = False) -> None:
        """Watch these files from now on.

        Args:
            files: Absolute paths.
            since: When they were read, by `time.time()`: what was saved later counts as changed, if nobody looked yet.
            any_python: Let any other Python file beside them count, too: one that was missing may be what is needed.
        """
        self._any_python = any_python
        self._files = _places(files)
        unseen = {os.path.dirname(where) for where in self._files} - self._tasks.keys()
        for directory in filter(os.path.isdir, unseen):
            task = self._tasks[directory] = asyncio.create_task(self._look(directory))
            task.add_done_callback(lambda _: self._woken.set())
        await asyncio.sleep(0)  # each watches after its first step
        late = {
            file for where, file in self._files.items() if os.path.dirname(where) in unseen and _is_late(file, since)
        }
        self._take(late)

    async def changed(self) -> list[str]:
        """Return the files that have changed since this was last called; waits until there is one.

        Raises:
            OSError: the system does not let them be watched.
        """
        while not self._changed:
            await self._woken.wait()
            self._woken.clear()
            for task in self._tasks.values():
                if task.done():
                    task.result()
        found, self._changed = sorted(self._changed), set()
        return found

    async def close(self) -> None:
        """Stop watching."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, directory: str) -> None:
        # Imported late: it takes its time. An event of a library that may be missing is in its type.
        from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

        changes = awatch(directory, watch_filter=None, recursive=False, step=BURST_MS, debounce=BURST_MAX_MS)
        async for burst in changes:
            self._take(self._that_count(path for _, path in burst))

    def _that_count(self, paths: Iterable[str]) -> Iterator[str]:
        for path in paths:
            if path in self._files:
                yield self._files[path]
            elif self._any_python and path.endswith(".py"):
                yield path

    def _take(self, files: Iterable[str]) -> None:
        self._changed.update(files)
        if self._changed:
            self._woken.set()


def _places(files: Iterable[str]) -> dict[str, str]:
    """Return files by the paths at which a change of them is seen: their own, and that which a link leads to."""
    return {where: file for file in files for where in (file, os.path.realpath(file))}


def _is_late(file: str, since: float) -> bool:
    try:
        saved = os.stat(file).st_mtime
    except OSError:
        return True
    return since < saved <= time.time()  # not those from the future, as archives have them: they would count for ever
