"""Where what an App prints and does is shown: the `Output` a display implements, and a plain one.

Nothing is shown outside `enable_output()`. Calls come from any thread, so an Output locks for itself. This module must
not know connections, terminals or how anything is run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from swell.wire.messages import Log, Progress

__all__ = ["Output", "PlainOutput", "current_output", "enable_output", "local_time", "log_mark"]

_SHORT_ID: Final = len("ta-") + 6  #: six of 32 characters tell any thousand containers apart, nearly always


class Output(Protocol):
    """What shows the log lines, the progress and the warnings of an App that runs."""

    def log(self, message: Log, text: str) -> None:
        """Show whole lines that a container wrote, each ending in a newline."""
        ...

    def progress(self, message: Progress) -> None:
        """Show the state of every function of an App, in place of the one before."""
        ...

    def notice(self, text: str) -> None:
        """Show a warning for the person who runs the App."""
        ...

    def map_started(self, map_id: str, function_name: str) -> None:
        """Begin to show a map of this process."""
        ...

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show how far a map is: results there, inputs sent, and inputs in all, once that is known."""
        ...

    def map_ended(self, map_id: str) -> None:
        """Stop showing a map."""
        ...


class PlainOutput:
    """Prints lines and nothing that moves: for pipes, files and programs without a terminal.

    Args:
        timestamps: Begin every line with the local time.
    """

    def __init__(self, *, timestamps: bool = False) -> None:
        self._timestamps = timestamps
        self._lock = threading.Lock()

    def log(self, message: Log, text: str) -> None:
        """Print a container's lines to the stream it wrote them to, each led by function and container."""
        lead = f"{local_time()} {log_mark(message)}" if self._timestamps else log_mark(message)
        marked = "".join(lead + line for line in text.splitlines(keepends=True))
        self._write(sys.stdout if message.stream == "stdout" else sys.stderr, marked)

    def progress(self, message: Progress) -> None:
        """Show nothing: where nothing can be overwritten, a moving state would drown the logs."""

    def notice(self, text: str) -> None:
        """Print a warning to stderr."""
        lead = f"{local_time()} " if self._timestamps else ""
        self._write(sys.stderr, f"{lead}swell: {text}\n")

    def map_started(self, map_id: str, function_name: str) -> None:
        """Show nothing."""

    def map_advanced(self, map_id: str, done: int, sent: int, total: int | None) -> None:
        """Show nothing."""

    def map_ended(self, map_id: str) -> None:
        """Show nothing."""

    def _write(self, stream: TextIO, text: str) -> None:
        with self._lock:
            stream.write(text)
            stream.flush()


def log_mark(message: Log) -> str:
    """Return what leads a line of a container, such as "square ta-K7QF2M| "."""
    return f"{message.function_name} {message.container_id[:_SHORT_ID]}| "


def local_time() -> str:
    """Return the time of day here, as in "2026-05-01 14:03:59+0200"."""
    return time.strftime("%Y-%m-%d %H:%M:%S%z")


class _Enabled:
    """The outputs of nested `enable_output()` blocks of this process, the innermost last."""

    outputs: tuple[Output, ...] = ()


@contextmanager
def enable_output(output: Output | None = None) -> Generator[None]:
    """Show, inside the block, what the containers of running Apps print, and warnings about them.

    Args:
        output: What shows it; by default plain lines on stdout and stderr.

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
