"""One command that runs beside a container: words of its user to its streams, and what comes of these to its user.

This module must not know templates, containers or connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from swell.backends.process.command_streams import CommandStreams
from swell.ports import Pipe
from swell.wire.codec import FrameError, encode
from swell.wire.exec import (
    WINDOW,
    Ended,
    Input,
    Output,
    Read,
    Refused,
    Resize,
    Run,
    Signal,
    ToCommand,
    Took,
    ToUser,
    for_command,
)

__all__ = ["Command", "Supervisor"]


class Supervisor(Protocol):
    """The process of a command that has been started."""

    def signal(self, number: int) -> None:
        """Send its process group a signal."""
        ...

    def kill(self) -> None:
        """Kill it; its end is told no more."""
        ...


class Command:
    """One command. Implements `swell.ports.Pipe`, for what its user sends."""

    def __init__(self, user: Pipe, start: Callable[[Command, Run], tuple[CommandStreams, Supervisor]]) -> None:
        """Wait for the first word.

        Args:
            user: gets what comes of the command.
            start: starts its process, which tells `exited`; raises OSError or ValueError if that is not possible.
        """
        self._user = user
        self._start = start
        self._decoder = for_command()
        self._streams: CommandStreams | None = None  # None before it has started
        self._process: Supervisor
        self._status: int | None = None  # its exit code, once it has ended
        self._is_over = False

    # ------------------------------------------------------------ from the user

    def send(self, data: bytes) -> None:
        """Take words of the user."""
        if self._is_over:
            return
        try:
            for word, payload in self._decoder.feed(data):
                self._take(word, payload)
                if self._is_over:
                    return
        except FrameError as error:
            self._refuse(f"the command is ended, for its user does not keep to the protocol: {error}")

    def close(self, why: str = "") -> None:
        """End the command: its user is gone."""
        if self._is_over:
            return
        self._is_over = True
        if self._streams is not None:
            self._streams.close()
            if self._status is None:
                self._process.kill()
        self._user.close(why)

    def _take(self, word: ToCommand, payload: bytes) -> None:
        streams = self._streams
        if isinstance(word, Run) != (streams is None):
            raise FrameError(f"{type(word).__name__} comes too early, or too late")
        match word:
            case Run():
                self._run(word)
            case _ if streams is None:
                raise AssertionError("it has started, or the word is Run")
            case Input(is_last):
                streams.put(payload, is_last=is_last)
                if streams.unwritten > WINDOW:
                    raise FrameError(f"more than {WINDOW} bytes of input wait")
            case Read(count):
                if streams.credit + count > WINDOW:
                    raise FrameError(f"more was read than the {WINDOW} bytes that may be on their way")
                streams.allow(count)
            case Resize(lines, columns):
                streams.resize(lines, columns)
            case Signal(number):
                if self._status is None:
                    self._process.signal(number)

    def _run(self, run: Run) -> None:
        try:
            self._streams, self._process = self._start(self, run)
        except (OSError, ValueError) as error:  # a path or a variable with a NUL in it
            self._refuse(str(error))
        else:
            self._streams.begin(self)

    # ------------------------------------------------------------ of the command

    def wrote(self, stream: int, data: bytes) -> None:
        """Pass on output."""
        self._tell(Output(stream), data)

    def took(self, count: int) -> None:
        """Let the user send more."""
        self._tell(Took(count))

    def output_ended(self) -> None:
        """Nothing more comes: that is all, if it has ended."""
        self._settle()

    def exited(self, status: int) -> None:
        """Its process has ended."""
        self._status = status
        if self._streams is not None and not self._is_over:
            self._streams.finish()
            self._settle()

    def lost(self, why: str) -> None:
        """It could not be started, or its end will not be known."""
        if not self._is_over:
            self._refuse(why)

    def _settle(self) -> None:
        if self._status is not None and self._streams is not None and self._streams.are_read:
            self._tell(Ended(self._status))
            self.close()

    def _refuse(self, why: str) -> None:
        self._tell(Refused(why))
        self.close()

    def _tell(self, word: ToUser, payload: bytes = b"") -> None:
        self._user.send(encode(word, payload))
