"""Editions of an App one after the other: a new one whenever a file is saved, in the place of the one before.

The new one opens its App first, by which the server gives it the labels; then the former one finishes what it has. An
edition that cannot be loaded changes nothing. This module must not know the command line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

from swell.cli.failure import panel
from swell.cli.reload.reload_worker import Edition, Origin
from swell.cli.reload.serve_protocol import Failed
from swell.cli.reload.watch import Watch
from swell.cli.show.addresses import created_line
from swell.cli.show.display import Display
from swell.cli.show.times import duration_text
from swell.errors import ConnectionError
from swell.sdk.connection.client import Client
from swell.signals import is_ignored

__all__ = ["INTERRUPTED", "Reloading"]

INTERRUPTED: Final = "interrupted"  #: the answer of `run` after Ctrl-C

NAMED_MAX: Final = 3  #: changed files that a line names


class Reloading:
    """Serves an App until somebody or something ends it.

    Args:
        origin: What to serve.
        client: Reaches the server.
        display: Where to show it.
        copies: A directory for copies of the user's files.
        timeout_s: How long to serve; None: for ever.
    """

    def __init__(
        self, origin: Origin, client: Client, display: Display, copies: str, *, timeout_s: float | None
    ) -> None:
        self._origin = origin
        self._client = client
        self._display = display
        self._copies = copies
        self._timeout_s = timeout_s
        self._count = 0
        self._latest: Edition | None = None
        self._editions: set[Edition] = set()
        self._urls: dict[str, str] = {}
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self) -> str:
        """Serve; return why it ended: "" when its time was over, or `INTERRUPTED`.

        Raises:
            ConnectionError: the server is gone.
        """
        loop = asyncio.get_running_loop()
        interrupted: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            if number is signal.SIGINT and is_ignored(number):
                continue  # in the background of a script: that Ctrl-C is for another
            loop.add_signal_handler(number, self._interrupt, interrupted)
        work = [asyncio.create_task(self._reload()), asyncio.create_task(self._heed_server())]
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
        """End; the second time, at once."""
        if not interrupted.done():
            interrupted.set_result(None)
            return
        for edition in self._editions:
            edition.kill()

    async def _end(self) -> None:
        for edition in self._editions:
            edition.close()
        await asyncio.gather(*(edition.ended() for edition in self._editions))
        await asyncio.gather(*self._errands)

    async def _heed_server(self) -> NoReturn:
        """Wait for the end of the server.

        Raises:
            ConnectionError: it has come.
        """
        link = await self._client.loop_link()
        await link.receive(link.open(link.next_request()))
        raise ConnectionError("the server is gone")

    # ------------------------------------------------------------ one after the other

    async def _reload(self) -> NoReturn:
        watch, changed, files = Watch(), list[str](), [_first_file(self._origin)]
        await watch.follow(files, time.time(), any_python=True)
        try:
            while True:
                edition = await self._begin()
                outcome = await edition.opened
                if isinstance(outcome, Failed):
                    self._display.show(panel(outcome.text))
                    self._tell_failure()
                    files = sorted({*files, *outcome.files})
                else:
                    self._take_over(edition, changed)
                    files = outcome.files
                await watch.follow(files, edition.began_at, any_python=isinstance(outcome, Failed))
                changed = await watch.changed()
        finally:
            await watch.close()

    async def _begin(self) -> Edition:
        self._count += 1
        edition = await Edition.begin(self._origin, os.path.join(self._copies, str(self._count)), self._display)
        self._editions.add(edition)
        self._run(self._see_off(edition))
        return edition

    async def _see_off(self, edition: Edition) -> None:
        code = await edition.ended()
        self._editions.discard(edition)
        if edition is self._latest and not edition.was_closed:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            self._display.notice(f"the program that holds the App open {how}; save a file to begin again")
            self._latest = None

    def _tell_failure(self) -> None:
        if self._latest is not None:
            self._display.notice("not reloaded: what ran before goes on; save a file to try again")
        else:
            self._display.notice("nothing runs yet; save a file to try again")

    def _take_over(self, edition: Edition, changed: list[str]) -> None:
        former, self._latest = self._latest, edition
        edition.is_latest = True
        if former is not None:
            former.is_latest = False
            former.retire()
        if changed:
            took = duration_text(time.time() - edition.began_at)
            self._display.notice(f"reloaded in {took}: {_named(changed)} changed")
        self._run(self._tell_urls(edition))

    async def _tell_urls(self, edition: Edition) -> None:
        """Say where the App answers, as far as that is new."""
        created = await edition.created
        if created.trouble:
            self._display.notice(created.trouble)
        for name, url in created.urls.items():
            if self._urls.get(name) != url:
                self._display.notice(created_line(name, url))
        self._urls = created.urls or self._urls

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def _first_file(origin: Origin) -> str:
    """Return the path to watch before anything is known of the App: its script, or what is in the working directory."""
    return os.path.abspath(origin.app_ref.partition("::")[0])


def _named(files: list[str]) -> str:
    names = [os.path.basename(file) for file in files]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"{', '.join(names[:NAMED_MAX])}{more}"
