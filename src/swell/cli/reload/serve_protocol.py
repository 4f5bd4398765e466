"""What the program behind an edition says to the command that started it, as frames in a pipe.

An edition is an App as its files were at one moment, held open by a process of its own: see `edition`. This module must
not know what is done about a report.
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

__all__ = ["RETIRE", "Created", "Failed", "Logged", "Noticed", "Opened", "Progressed", "Relay", "Report", "reports"]

RETIRE: Final = b"r"  #: the one order there is beside the end of the pipe: finish what runs, then close the App

_LENGTH: Final = 4  #: bytes before each frame


class Failed(Struct, frozen=True, tag="failed"):
    """The App could not be loaded or opened; the program ends."""

    text: str  #: for the person at the terminal
    files: list[str]  #: that were read; editing one may help


class Opened(Struct, frozen=True, tag="opened"):
    """The App is open, and has its labels."""

    files: list[str]  #: it consists of


class Created(Struct, frozen=True, tag="created"):
    """Where its web functions answer."""

    urls: dict[str, str]
    trouble: str = ""  #: why nothing answers, if so


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
    """The writing end of the pipe, and an Output that shows everything at the other end.

    Args:
        fd: File descriptor to write to.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def say(self, report: Report) -> None:
        """Write a report. Where nobody reads any more, nothing is said: the end of the orders tells the same."""
        body = msgspec.msgpack.encode(report)
        left = memoryview(len(body).to_bytes(_LENGTH, "little") + body)
        with self._lock, suppress(BrokenPipeError):
            while left:
                left = left[os.write(self._fd, left) :]

    def log(self, message: Log, text: str) -> None:
        """Show whole lines of a container."""
        self.say(Logged(message, text))

    def progress(self, message: Progress) -> None:
        """Show the state of every function."""
        self.say(Progressed(message))

    def notice(self, text: str) -> None:
        """Show a warning."""
        self.say(Noticed(text))

    def map_started(self, map_id: str, function_name: str) -> None:
        """Show nothing: an edition makes no calls."""

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show nothing."""

    def map_ended(self, map_id: str) -> None:
        """Show nothing."""


async def reports(pipe: asyncio.StreamReader) -> AsyncIterator[Report]:
    """Yield what comes out of the pipe, until its writer has ended."""
    decoder = msgspec.msgpack.Decoder(Report)
    with suppress(asyncio.IncompleteReadError):
        while True:
            length = int.from_bytes(await pipe.readexactly(_LENGTH), "little")
            yield decoder.decode(await pipe.readexactly(length))
