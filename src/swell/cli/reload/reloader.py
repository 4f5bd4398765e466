"""Reloads an App: whenever a file is saved, a new worker opens the App, and the worker before it retires.

The new worker opens its App first, and the server then routes the labels to it; only then does the former worker finish
its requests. A worker that cannot load the files changes nothing. This module must not know the command line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

from swell.cli.failure import panel
from swell.cli.reload.reload_worker import ReloadTarget, ReloadWorker
from swell.cli.reload.serve_protocol import Failed
from swell.cli.reload.watch import Watch
from swell.cli.show.addresses import created_line
from swell.cli.show.display import Display
from swell.cli.show.times import duration_text
from swell.errors import ConnectionError
from swell.sdk.connection.client import Client
from swell.signals import is_ignored

__all__ = ["INTERRUPTED", "Reloader"]

INTERRUPTED: Final = "interrupted"  #: the answer of `run` after Ctrl-C

NAMED_MAX: Final = 3  #: changed files that a line names


class Reloader:
    """Serves an App until Ctrl-C, a timeout, or the end of the server.

    Args:
        target: The App to serve.
        client: Reaches the server.
        display: Shows it.
        copies: A directory for copies of the user's files.
        timeout_s: How long to serve; None: for ever.
    """

    def __init__(
        self, target: ReloadTarget, client: Client, display: Display, copies: str, *, timeout_s: float | None
    ) -> None:
        self._target = target
        self._client = client
        self._display = display
        self._copies = copies
        self._timeout_s = timeout_s
        self._count = 0
        self._latest: ReloadWorker | None = None
        self._workers: set[ReloadWorker] = set()
        self._urls: dict[str, str] = {}
        self._background_tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> str:
        """Serve; return why it ended: "" for the timeout, or `INTERRUPTED`.

        Raises:
            ConnectionError: the server is gone.
        """
        loop = asyncio.get_running_loop()
        interrupted: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            if number is signal.SIGINT and is_ignored(number):
                continue  # in the background of a script, where Ctrl-C is not for this command
            loop.add_signal_handler(number, self._interrupt, interrupted)
        work = [asyncio.create_task(self._reload()), asyncio.create_task(self._watch_server())]
        try:
            await asyncio.wait([*work, interrupted], timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()
            return INTERRUPTED if interrupted.done() else ""
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._end()

    def _interrupt(self, interrupted: asyncio.Future[None]) -> None:
        """Stop serving; the second time, kill the workers."""
        if not interrupted.done():
            interrupted.set_result(None)
            return
        for worker in self._workers:
            worker.kill()

    async def _end(self) -> None:
        for worker in self._workers:
            worker.close()
        await asyncio.gather(*(worker.ended() for worker in self._workers))
        await asyncio.gather(*self._background_tasks)

    async def _watch_server(self) -> NoReturn:
        """Wait until the server closes the connection.

        Raises:
            ConnectionError: it has closed it.
        """
        link = await self._client.loop_link()
        await link.receive(link.open(link.next_request()))
        raise ConnectionError("the server is gone")

    # ------------------------------------------------------------ worker after worker

    async def _reload(self) -> NoReturn:
        watch, changed, files = Watch(), list[str](), [_first_file(self._target)]
        await watch.follow(files, time.time(), any_python=True)
        try:
            while True:
                worker = await self._begin()
                outcome = await worker.opened
                if isinstance(outcome, Failed):
                    self._display.show(panel(outcome.text))
                    self._notice_failure()
                    files = sorted({*files, *outcome.files})
                else:
                    self._take_over(worker, changed)
                    files = outcome.files
                await watch.follow(files, worker.began_at, any_python=isinstance(outcome, Failed))
                changed = await watch.changed()
        finally:
            await watch.close()

    async def _begin(self) -> ReloadWorker:
        self._count += 1
        worker = await ReloadWorker.begin(self._target, os.path.join(self._copies, str(self._count)), self._display)
        self._workers.add(worker)
        self._run(self._reap(worker))
        return worker

    async def _reap(self, worker: ReloadWorker) -> None:
        code = await worker.ended()
        self._workers.discard(worker)
        if worker is self._latest and not worker.was_closed:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            self._display.notice(f"the program that holds the App open {how}; save a file to begin again")
            self._latest = None

    def _notice_failure(self) -> None:
        if self._latest is not None:
            self._display.notice("not reloaded: what ran before goes on; save a file to try again")
        else:
            self._display.notice("nothing runs yet; save a file to try again")

    def _take_over(self, worker: ReloadWorker, changed: list[str]) -> None:
        former, self._latest = self._latest, worker
        worker.is_latest = True
        if former is not None:
            former.is_latest = False
            former.retire()
        if changed:
            took = duration_text(time.time() - worker.began_at)
            self._display.notice(f"reloaded in {took}: {_named(changed)} changed")
        self._run(self._notice_urls(worker))

    async def _notice_urls(self, worker: ReloadWorker) -> None:
        """Show the URLs of web functions that are new."""
        created = await worker.created
        if created.trouble:
            self._display.notice(created.trouble)
        for name, url in created.urls.items():
            if self._urls.get(name) != url:
                self._display.notice(created_line(name, url))
        self._urls = created.urls or self._urls

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)


def _first_file(target: ReloadTarget) -> str:
    """Return the path to watch before the App is loaded: its script, or a path in the working directory."""
    return os.path.abspath(target.app_ref.partition("::")[0])


def _named(files: list[str]) -> str:
    names = [os.path.basename(file) for file in files]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"{', '.join(names[:NAMED_MAX])}{more}"
