"""Capture: turns what a container writes to one of its streams into whole lines of text.

This module must not know containers, or where lines go.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Callable

__all__ = ["Capture", "LineSplitter"]

READ_MAX = 32 << 10  #: bytes read per wake-up: a flood on one stream must not block the others
#: Bytes read when the writer is dead: more than any pipe holds, unless another process still writes.
LAST_READ_MAX = 1 << 20


class LineSplitter:
    """Decodes UTF-8 as it arrives and lets whole lines through, splitting those longer than `line_max` characters."""

    def __init__(self, line_max: int) -> None:
        self._line_max = line_max
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> str:
        """Take bytes in and return the lines that are complete now, each with its newline; often an empty text."""
        text = self._rest + self._decoder.decode(data)
        if len(text) > self._line_max:
            text = self._split(text)
        cut = text.rfind("\n") + 1
        self._rest = text[cut:]
        return text[:cut]

    def finish(self) -> str:
        """Return what is left: a last line without its newline, or an empty text."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return self._split(rest)

    def _split(self, text: str) -> str:
        size = self._line_max
        lines = [
            line if len(line) <= size else "\n".join(line[at : at + size] for at in range(0, len(line), size))
            for line in text.split("\n")
        ]
        return "\n".join(lines)


class Capture:
    """Reads a pipe's end as the event loop allows and passes on whole lines. Owns the descriptor."""

    def __init__(self, fd: int, line_max: int, sink: Callable[[str], None]) -> None:
        """Begin to read `fd`. Needs a running event loop."""
        self._fd = fd
        self._splitter = LineSplitter(line_max)
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read, READ_MAX)

    def pause(self) -> None:
        """Read nothing more, so that whoever writes has to wait, until `resume` or `finish`."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read on."""
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read, READ_MAX)

    def finish(self) -> None:
        """Pass on everything written so far, the last line even if it is not whole, and close. Safe to call twice."""
        left = LAST_READ_MAX
        while self._fd >= 0 and left > 0:
            taken = self._read(READ_MAX)
            if taken == 0:
                break
            left -= taken
        self._close()

    def _read(self, size: int) -> int:
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return 0
        if data:
            self._pass_on(self._splitter.feed(data))
        else:
            self._close()
        return len(data)

    def _close(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._pass_on(self._splitter.finish())

    def _pass_on(self, text: str) -> None:
        if text:
            self._sink(text)
