"""The reports that a worker of `swell serve` sends to the command that started it, as frames in a pipe.

This module must not know what the command does with a report.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from swell.wire.messages import Log, Progress

__all__ = [
    "RETIRE",
    "Created",
    "Failed",
    "Logged",
    "Noticed",
    "Opened",
    "Progressed",
    "Relay",
    "Report",
    "read_reports",
]

RETIRE: Final = b"r"  #: the only command in the control pipe: finish the requests that run, then close the App

_LENGTH: Final = 4  #: bytes before each frame


class Failed(Struct, frozen=True, tag="failed"):
    """The App could not be loaded or opened; the worker exits."""

    text: str  #: the error, for the terminal
    files: list[str]  #: that were read: a change of one may mend it


class Opened(Struct, frozen=True, tag="opened"):
    """The App is open, and has its labels."""

    files: list[str]  #: that the App consists of


class Created(Struct, frozen=True, tag="created"):
    """The URLs of its web functions."""

    urls: dict[str, str]
    trouble: str = ""  #: why there are none


class Logged(Struct, frozen=True, tag="logged"):
    """A container wrote whole lines."""

    message: Log
    text: str


class Progressed(Struct, frozen=True, tag="progressed"):
    """The state of every function."""

    message: Progress


class Noticed(Struct, frozen=True, tag="noticed"):
    """A warning of the server."""

    text: str


Report = Failed | Opened | Created | Logged | Progressed | Noticed


class Relay:
    """The writing end of the pipe: an Output that sends everything to the reading end.

    Args:
        fd: File descriptor to write to.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def send(self, report: Report) -> None:
        """Write a report. If nobody reads any more, drop it: the control pipe has ended, too."""
        body = msgspec.msgpack.encode(report)
        left = memoryview(len(body).to_bytes(_LENGTH, "little") + body)
        with self._lock, suppress(BrokenPipeError):
            while left:
                left = left[os.write(self._fd, left) :]

    def log(self, message: Log, text: str) -> None:
        """Send whole lines of a container."""
        self.send(Logged(message, text))

    def progress(self, message: Progress) -> None:
        """Send the state of every function."""
        self.send(Progressed(message))

    def notice(self, text: str) -> None:
        """Send a warning."""
        self.send(Noticed(text))

    def map_started(self, map_id: str, function_name: str) -> None:
        """Send nothing: a worker makes no calls."""

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Send nothing."""

    def map_ended(self, map_id: str) -> None:
        """Send nothing."""


async def read_reports(pipe: asyncio.StreamReader) -> AsyncIterator[Report]:
    """Yield the reports in the pipe, until its writer has exited."""
    decoder = msgspec.msgpack.Decoder(Report)
    with suppress(asyncio.IncompleteReadError):
        while True:
            length = int.from_bytes(await pipe.readexactly(_LENGTH), "little")
            yield decoder.decode(await pipe.readexactly(length))
