"""This end of a command's streams: a terminal, or three pipes. Owns the descriptors.

Output is read as far as there is credit for it, and input waits here until the command takes it. Once the command has
ended, what it has written is read to the end. Something that has escaped from it may hold the other ends open, so that
the end does not come by itself; and what was written on a terminal is not there at once. So the end is awaited, but not
for long. This module must not know words, or processes.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Mapping
from typing import Final, Protocol

__all__ = ["CommandStreams", "StreamsListener", "open_streams"]

CHUNK: Final = 64 << 10  #: bytes of one read
LAST_S: Final = 1.0  #: how long the end of its output may take once the command has ended
STDOUT, STDERR = 1, 2
END_OF_INPUT: Final = b"\x04"  #: as typed on a terminal


class StreamsListener(Protocol):
    """What streams report to."""

    def wrote(self, stream: int, data: bytes) -> None:
        """The command has written bytes."""
        ...

    def took(self, count: int) -> None:
        """The command has taken so many bytes of its input, or takes no more."""
        ...

    def output_ended(self) -> None:
        """The command will write nothing more."""
        ...


class CommandStreams:
    """The streams of one command. Needs a running event loop."""

    def __init__(self, outputs: Mapping[int, int], sink: int, terminal: int | None, credit: int) -> None:
        """Own descriptors; nothing happens before `begin`.

        Args:
            outputs: those to read from, each with the number of its stream.
            sink: that to write to.
            terminal: one of them, if they are those of a terminal.
            credit: how many bytes of output may be read at first.
        """
        self._outputs = dict(outputs)
        self._sink = sink  # -1: closed
        self._terminal = terminal
        self._credit = credit
        self._input = bytearray()
        self._input_ends = False  # after what is in there
        self._at_line_start = True
        self._is_last = False  # the command has ended, and what can be read now is the rest
        self._loop = asyncio.get_running_loop()
        self._patience: asyncio.TimerHandle | None = None
        self._listener: StreamsListener
        for fd in (sink, *outputs):
            os.set_blocking(fd, False)

    def begin(self, listener: StreamsListener) -> None:
        """Read, and report to `listener`."""
        self._listener = listener
        self._watch()

    @property
    def are_read(self) -> bool:
        """True if nothing more will come."""
        return not self._outputs

    @property
    def unwritten(self) -> int:
        """Bytes of input that the command has not taken."""
        return len(self._input)

    # ------------------------------------------------------------ output

    @property
    def credit(self) -> int:
        """Bytes of output that may be read."""
        return self._credit

    def allow(self, count: int) -> None:
        """Read so many bytes more."""
        was_out, self._credit = not self._credit, self._credit + count
        if self._is_last:
            self._read_rest()
        elif was_out:
            self._watch()

    def finish(self) -> None:
        """Read what the command, which has ended, has left."""
        self._patience = self._loop.call_later(LAST_S, self._await_no_more)

    def _await_no_more(self) -> None:
        self._is_last = True
        self._read_rest()

    def _read_rest(self) -> None:
        for fd in list(self._outputs):
            while self._credit and self._read(fd):
                pass
            if self._credit:
                self._close_output(fd)

    def _watch(self) -> None:
        for fd in self._outputs:
            self._loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> bool:
        """Pass on what can be read now; return False if there is nothing."""
        if fd not in self._outputs:  # whoever got the last bytes has closed it
            return False
        try:
            data = os.read(fd, min(CHUNK, self._credit))
        except BlockingIOError:
            return False
        except OSError:  # nobody has the terminal any more
            data = b""
        if not data:
            self._close_output(fd)
            return False
        self._credit -= len(data)
        if not self._credit:
            for each in self._outputs:
                self._loop.remove_reader(each)
        self._listener.wrote(self._outputs[fd], data)
        return True

    def _close_output(self, fd: int) -> None:
        if self._outputs.pop(fd, None) is None:
            return
        self._loop.remove_reader(fd)
        os.close(fd)
        if fd == self._terminal:
            self._terminal = None
        if not self._outputs:
            self._listener.output_ended()

    # ------------------------------------------------------------ input

    def put(self, data: bytes, *, is_last: bool) -> None:
        """Have the command read bytes."""
        self._input += data
        self._input_ends = self._input_ends or is_last
        self._write()

    def _write(self) -> None:
        try:
            count = len(self._input) if self._sink < 0 else os.write(self._sink, self._input)
        except BlockingIOError:
            count = 0
        except OSError:  # it has closed its input, or has ended
            self._close_input()
            count = len(self._input)
        if count:
            self._at_line_start = self._input[count - 1] == 0x0A
            del self._input[:count]
            self._listener.took(count)
        if self._sink < 0:
            return
        if self._input:
            self._loop.add_writer(self._sink, self._write)
            return
        self._loop.remove_writer(self._sink)
        if self._input_ends:
            self._end_input()

    def _end_input(self) -> None:
        """Let the command read the end. On a terminal that is typed: once after a line, twice within one."""
        self._input_ends = False
        if self._terminal is None:
            self._close_input()
        else:
            self._input += END_OF_INPUT * (1 if self._at_line_start else 2)
            self._write()

    def _close_input(self) -> None:
        if self._sink >= 0:
            self._loop.remove_writer(self._sink)
            os.close(self._sink)
            self._sink = -1

    # ------------------------------------------------------------ both

    def resize(self, lines: int, columns: int) -> None:
        """Set the size of the terminal, which tells the command; nothing where there is none."""
        if self._terminal is not None:
            termios.tcsetwinsize(self._terminal, (lines, columns))

    def close(self) -> None:
        """Close all descriptors, and report nothing more. Safe to call twice."""
        if self._patience is not None:
            self._patience.cancel()
        self._close_input()
        for fd in self._outputs:
            self._loop.remove_reader(fd)
            os.close(fd)
        self._outputs.clear()


def open_streams(terminal: tuple[int, int] | None, credit: int) -> tuple[CommandStreams, list[int]]:
    """Return our ends of new streams, and the command's: its stdin, stdout and stderr.

    Args:
        terminal: lines and columns of the terminal to make; None: pipes.
        credit: how many bytes of output may be read at first.

    Raises:
        OSError: too many open files, or no terminal is left.
    """
    opened: list[int] = []
    try:
        if terminal is not None:
            ours, theirs = os.openpty()
            opened += (ours, theirs)
            termios.tcsetwinsize(ours, terminal)
            opened += (sink := os.dup(ours), copy := os.dup(theirs), another := os.dup(theirs))
            return CommandStreams({ours: STDOUT}, sink, ours, credit), [theirs, copy, another]
        for _ in range(3):
            opened += os.pipe()
        stdin, sink, out, stdout, err, stderr = opened
        return CommandStreams({out: STDOUT, err: STDERR}, sink, None, credit), [stdin, stdout, stderr]
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
