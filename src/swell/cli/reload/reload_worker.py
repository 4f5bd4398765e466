"""One worker process of `swell serve`, seen from the command: it holds the App open as its files were at one moment.

This module must not know why a worker is started, or which one is the latest.
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
    read_reports,
)
from swell.cli.show.display import Display

__all__ = ["ReloadTarget", "ReloadWorker"]

_CHUNK: Final = 1 << 16
_LINE_MAX: Final = 1 << 16  #: characters that wait for the end of their line

T = TypeVar("T")


class ReloadTarget(NamedTuple):
    """The App that workers serve, and the server they serve it on."""

    app_ref: str
    is_module: bool
    name: str | None
    address: str  #: of the server


class ReloadWorker:
    """One worker, from its start to its exit. Made by `begin`.

    Attributes:
        opened: Its first report: the App is open, or why it could not be opened.
        created: The URLs of its web functions, once they are known.
        began_at: When it was started, by `time.time()`.
    """

    def __init__(self, display: Display) -> None:
        self.began_at = time.time()
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[Opened | Failed] = loop.create_future()
        self.created: asyncio.Future[Created] = loop.create_future()
        self.is_latest = False  #: only its progress is shown
        self._display = display
        self._process: asyncio.subprocess.Process | None = None
        self._control_fd = -1
        self._was_closed = False
        self._listening: list[asyncio.Task[None]] = []

    @classmethod
    async def begin(cls, target: ReloadTarget, copy_dir: str, display: Display) -> ReloadWorker:
        """Start a worker.

        Args:
            target: The App to serve.
            copy_dir: A directory for copies of its files.
            display: Shows what it prints, and its containers.
        """
        worker = cls(display)
        control_read, worker._control_fd = os.pipe()
        source, said = os.pipe()
        command = (
            sys.executable,
            "-P",  # a module of the user's must not stand in for one of the standard library
            "-m",
            "swell.cli.reload.serve_worker",
            f"--control-fd={control_read}",
            f"--reports-fd={said}",
            f"--copy-dir={copy_dir}",
            *(("--module",) if target.is_module else ()),
            *(() if target.name is None else (f"--name={target.name}",)),
            "--",
            target.app_ref,
        )
        try:
            process = worker._process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(control_read, said),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, which then ends its workers
                env=os.environ | {"SWELL_SERVER": target.address},
            )
        finally:
            os.close(control_read)
            os.close(said)
        pipe = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(pipe), os.fdopen(source, "rb")
        )
        assert process.stdout is not None
        assert process.stderr is not None
        worker._listening = [
            asyncio.create_task(worker._listen(pipe)),
            asyncio.create_task(worker._show("stdout", process.stdout)),
            asyncio.create_task(worker._show("stderr", process.stderr)),
        ]
        return worker

    # ------------------------------------------------------------ its end

    @property
    def was_closed(self) -> bool:
        """True if this command has ended it."""
        return self._was_closed

    def retire(self) -> None:
        """Let it finish the requests it has, and then exit."""
        self._was_closed = True
        if self._control_fd >= 0:
            with suppress(BrokenPipeError):  # it has ended
                os.write(self._control_fd, RETIRE)

    def close(self) -> None:
        """Let it exit at once; requests that run are interrupted."""
        self._was_closed = True
        if self._control_fd >= 0:
            os.close(self._control_fd)
            self._control_fd = -1

    def kill(self) -> None:
        """Kill it; the server closes its App."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> int:
        """Wait until it has exited and all its output is shown; return its exit code."""
        assert self._process is not None
        code = await self._process.wait()
        await asyncio.gather(*self._listening)
        if self._control_fd >= 0:
            os.close(self._control_fd)
            self._control_fd = -1
        return code

    # ------------------------------------------------------------ reports

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        async for report in read_reports(pipe):
            self._handle(report)
        _set_result(self.opened, Failed("the program ended before the App was open", []))
        _set_result(self.created, Created({}))

    def _handle(self, report: Report) -> None:
        match report:
            case Opened() | Failed():
                _set_result(self.opened, report)
            case Created():
                _set_result(self.created, report)
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


def _set_result(future: asyncio.Future[T], result: T) -> None:
    """Set the result of a future, unless it has one, or was cancelled together with the task that waited for it."""
    if not future.done():
        future.set_result(result)
