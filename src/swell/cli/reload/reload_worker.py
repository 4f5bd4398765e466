"""An edition: an App as its files were at one moment, held open by a process of its own.

This module must not know why an edition is made, or which one is the latest.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import time
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from swell.cli.reload.serve_protocol import (
    RETIRE,
    Created,
    Failed,
    Logged,
    Noticed,
    Opened,
    Progressed,
    Report,
    reports,
)
from swell.cli.show.display import Display

__all__ = ["Edition", "Origin"]

_CHUNK: Final = 1 << 16
_LINE_MAX: Final = 1 << 16  #: characters that wait for the end of their line

T = TypeVar("T")


class Origin(NamedTuple):
    """What editions are made of."""

    app_ref: str
    is_module: bool
    name: str | None
    address: str  #: of the server


class Edition:
    """One edition, from its start to its end. Made by `begin`.

    Attributes:
        opened: What became of it: that it is open, or why it is not.
        created: Where it answers, once that is known.
        began_at: When it was begun, by `time.time()`.
    """

    def __init__(self, display: Display) -> None:
        self.began_at = time.time()
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[Opened | Failed] = loop.create_future()
        self.created: asyncio.Future[Created] = loop.create_future()
        self.is_latest = False  #: only of the latest one, the progress is shown
        self._display = display
        self._process: asyncio.subprocess.Process | None = None
        self._orders = -1
        self._was_closed = False
        self._listening: list[asyncio.Task[None]] = []

    @classmethod
    async def begin(cls, origin: Origin, copy_dir: str, display: Display) -> Edition:
        """Start the program behind an edition.

        Args:
            origin: What to make it of.
            copy_dir: Where it is to keep copies of its files.
            display: Where to show what it prints, and its containers.
        """
        edition = cls(display)
        orders, edition._orders = os.pipe()
        source, said = os.pipe()
        try:
            process = edition._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a module of the user's must not stand in for one of the standard library
                "-m",
                "swell.cli.reload.serve_worker",
                f"--orders-fd={orders}",
                f"--reports-fd={said}",
                f"--copy-dir={copy_dir}",
                *(("--module",) if origin.is_module else ()),
                *(() if origin.name is None else (f"--name={origin.name}",)),
                "--",
                origin.app_ref,
                pass_fds=(orders, said),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, which then ends its editions
                env=os.environ | {"SWELL_SERVER": origin.address},
            )
        finally:
            os.close(orders)
            os.close(said)
        pipe = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(pipe), os.fdopen(source, "rb")
        )
        assert process.stdout is not None
        assert process.stderr is not None
        edition._listening = [
            asyncio.create_task(edition._listen(pipe)),
            asyncio.create_task(edition._show("stdout", process.stdout)),
            asyncio.create_task(edition._show("stderr", process.stderr)),
        ]
        return edition

    # ------------------------------------------------------------ its end

    @property
    def was_closed(self) -> bool:
        """True if its end was ordered."""
        return self._was_closed

    def retire(self) -> None:
        """Let it finish what it runs, and then end."""
        self._was_closed = True
        if self._orders >= 0:
            with suppress(BrokenPipeError):  # it has ended
                os.write(self._orders, RETIRE)

    def close(self) -> None:
        """Let it end at once: what runs is interrupted."""
        self._was_closed = True
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1

    def kill(self) -> None:
        """End its program without waiting for the App to be closed; the server sees to that."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Return the exit code of its program, once it has ended and everything it said is shown."""
        assert self._process is not None
        code = await self._process.wait()
        await asyncio.gather(*self._listening)
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1
        return code

    # ------------------------------------------------------------ what it says

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        async for report in reports(pipe):
            self._heed(report)
        _settle(self.opened, Failed("the program ended before the App was open", []))
        _settle(self.created, Created({}))

    def _heed(self, report: Report) -> None:
        match report:
            case Opened() | Failed():
                _settle(self.opened, report)
            case Created():
                _settle(self.created, report)
            case Logged(message, text):
                self._display.log(message, text)
            case Progressed(message):
                if self.is_latest:
                    self._display.progress(message)
            case Noticed(text):
                self._display.notice(text)

    async def _show(self, stream: str, pipe: asyncio.StreamReader) -> None:
        """Show what the user's modules print while they are imported: whole lines, as a sequence is escaped whole."""
        decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
        while chunk := await pipe.read(_CHUNK):
            lines, end, rest = (rest + decoder.decode(chunk)).rpartition("\n")
            if end:
                self._display.output(stream, lines + end)
            if len(rest) > _LINE_MAX:
                self._display.output(stream, rest)
                rest = ""
        if rest := rest + decoder.decode(b"", final=True):
            self._display.output(stream, rest)


def _settle(future: asyncio.Future[T], result: T) -> None:
    """Give a future its result, unless it has one, or was cancelled together with the task that waited for it."""
    if not future.done():
        future.set_result(result)
