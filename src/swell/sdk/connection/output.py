"""Outputs: what shows the log lines, progress and warnings of an App; the protocol, and one that prints plain lines.

Nothing is shown outside `enable_output()`. Any thread may call an Output, so it does its own locking. This module must
not know connections, terminals or how an App is run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from swell.escaping import log_lines, many_lines, one_line

if TYPE_CHECKING:
    from swell.wire.messages import Log, Progress

__all__ = [
    "Output",
    "PlainOutput",
    "current_output",
    "enable_output",
    "has_colour",
    "led_lines",
    "log_lead",
    "marked_lines",
]

_SHORT_ID: Final = len("ta-") + 6  #: six of 32 characters nearly always differ among a thousand containers


class Output(Protocol):
    """Shows the log lines, the progress and the warnings of an App that runs."""

    def log(self, message: Log, text: str) -> None:
        """Show whole lines that a container wrote, each ending in a newline."""
        ...

    def progress(self, message: Progress) -> None:
        """Show the state of every function of an App, in place of the last one shown."""
        ...

    def notice(self, text: str) -> None:
        """Show a warning for the person who runs the App."""
        ...

    def map_started(self, map_id: str, function_name: str) -> None:
        """Show that a map of this process has started."""
        ...

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show the progress of a map: results received, inputs sent, and inputs in all, once that is known."""
        ...

    def map_ended(self, map_id: str) -> None:
        """Stop showing a map."""
        ...


class PlainOutput:
    """Prints lines, and no progress; coloured by stream on a terminal.

    Args:
        timestamps: Begin every line with the local time.
    """

    def __init__(self, *, timestamps: bool = False) -> None:
        self._timestamps = timestamps
        self._lock = threading.Lock()

    def log(self, message: Log, text: str) -> None:
        """Print a container's lines to the stream that it wrote them to, each prefixed by function and container."""
        stream = self._stream(message.stream)
        self._write(stream, marked_lines(message, text, timestamps=self._timestamps, colour=has_colour(stream)))

    def progress(self, message: Progress) -> None:
        """Show nothing: without a terminal that can be overwritten, progress would bury the logs."""

    def notice(self, text: str) -> None:
        """Print a warning to stderr."""
        stream = self._stream("system")
        lead = f"{local_time()} " if self._timestamps else ""
        begin, end = (_COLOURS["system"], _RESET) if has_colour(stream) else ("", "")
        self._write(stream, f"{lead}{begin}swell: {many_lines(text)}{end}\n")

    def map_started(self, map_id: str, function_name: str) -> None:
        """Show nothing."""

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show nothing."""

    def map_ended(self, map_id: str) -> None:
        """Show nothing."""

    def _stream(self, name: str) -> TextIO:
        return sys.stdout if name == "stdout" else sys.stderr

    def _write(self, stream: TextIO, text: str) -> None:
        with self._lock, suppress(BrokenPipeError):  # a reader that closes the pipe does not end the run
            stream.write(text)
            stream.flush()


_COLOURS: Final = {"stdout": "\x1b[34m", "stderr": "\x1b[31m", "system": "\x1b[33m"}
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal with colours, and the user has not switched them off (NO_COLOR)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def marked_lines(message: Log, text: str, *, timestamps: bool = False, colour: bool = False) -> str:
    """Return a container's lines, each prefixed by function and container, as in "square ta-K7QF2M| hello"."""
    lead = log_lead(message.function_name, message.container_id)
    return led_lines(f"{local_time()} {lead}" if timestamps else lead, message.stream, text, colour=colour)


def log_lead(function_name: str, container_id: str) -> str:
    """Return the prefix of a container's lines, "square ta-K7QF2M|"; of lines of no container, "square|"."""
    return f"{function_name} {container_id[:_SHORT_ID]}".rstrip() + "|"


def led_lines(lead: str, stream: str, text: str, *, colour: bool) -> str:
    """Return lines, each with a prefix, and in the colour of its stream if `colour`.

    All text is escaped; `escaping.log_lines` says how carriage returns and colours are treated.
    """
    lead = one_line(lead)
    before, after = f"{lead} ", "\n"
    if colour:
        before, after = f"{_DIM}{lead}{_RESET} {_COLOURS.get(stream, _RESET)}", f"{_RESET}\n"
    return "".join(before + line + after for line in log_lines(text, colours=colour))


def local_time() -> str:
    """Return the date and time of day here, as in "2026-05-01 14:03:59+02:00"."""
    text = time.strftime("%Y-%m-%d %H:%M:%S%z")
    return f"{text[:-2]}:{text[-2:]}"


class _Enabled:
    """The outputs of this process's nested `enable_output()` blocks, the innermost last."""

    outputs: tuple[Output, ...] = ()


@contextmanager
def enable_output(output: Output | None = None) -> Generator[None]:
    """Show, inside the block, what the containers of running Apps print, and warnings about them.

    Args:
        output: What shows them; default: plain lines on stdout and stderr.

    Example:
        `with swell.enable_output(), app.run(): print(f.remote(1))`
    """
    before = _Enabled.outputs
    _Enabled.outputs = (*before, output or PlainOutput())
    try:
        yield
    finally:
        _Enabled.outputs = before


def current_output() -> Output | None:
    """Return the Output of the innermost `enable_output()` block of this process; None outside any."""
    return _Enabled.outputs[-1] if _Enabled.outputs else None
