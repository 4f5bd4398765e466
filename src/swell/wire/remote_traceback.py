"""Tracebacks that travel: frames as names, lines and source, and a traceback made of them on the other side.

The standard printers find the source of remote frames in `linecache`, where a bounded number is kept. This module must
not know exceptions' values, messages or peers.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from types import CodeType, TracebackType
from typing import Final, cast

import msgspec

__all__ = [
    "FRAMES_MAX",
    "LINE_MAX",
    "SOURCES_MAX",
    "SOURCE_LINE_MAX",
    "Frame",
    "frames_of",
    "on_a_line",
    "plain",
    "remember_source",
    "traceback_of",
    "without_leading",
]

FRAMES_MAX: Final = 256  #: frames of a traceback that travel: half from either end
SOURCES_MAX: Final = 512  #: remote files of which source lines are kept for printing
SOURCE_LINE_MAX: Final = 100_000  #: no source is kept of lines after it: `linecache` holds all that come before, too
LINE_MAX: Final = (1 << 31) - 1  #: the largest that a code object can begin at


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One line of a stack."""

    file: str
    line: int
    function: str
    source: str


def on_a_line(frame: Frame) -> Frame:
    """Return a frame at a line that a file can have: code that is generated may be at any, also at 0."""
    line = _clamped(frame.line)
    return frame if line == frame.line else msgspec.structs.replace(frame, line=line)


def _clamped(line: int) -> int:
    return min(max(line, 1), LINE_MAX)


def plain(text: str) -> str:
    """Return a text that can travel: one without lone surrogates, as names of files may have them."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_leading(tb: TracebackType | None, hide: Sequence[str]) -> TracebackType | None:
    """Return a traceback without its leading frames whose file has one of these prefixes."""
    prefixes = tuple(hide)
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(prefixes):
        tb = tb.tb_next
    return tb


def frames_of(tb: TracebackType | None, where: str, frames_max: int = FRAMES_MAX) -> list[Frame]:
    """Return the frames of a traceback; `where` is put before the names of their files."""
    steps: list[TracebackType] = []
    while tb is not None:
        steps.append(tb)
        tb = tb.tb_next
    if len(steps) > frames_max:
        steps = steps[: frames_max // 2] + steps[-frames_max // 2 :]
    found: list[Frame] = []
    for step in steps:
        code = step.tb_frame.f_code
        line = step.tb_lineno or code.co_firstlineno
        source = _source_line(code.co_filename, line, step)
        file = plain(f"<{where}>:{code.co_filename}")
        found.append(Frame(file, _clamped(line), plain(code.co_name), plain(source)))
    return found


def _source_line(file: str, line: int, step: TracebackType) -> str:
    try:
        return linecache.getline(file, line, step.tb_frame.f_globals)
    except KeyboardInterrupt:
        raise
    except BaseException:  # it asks the `__loader__` in the globals, which may be anything
        return ""


def traceback_of(frames: Sequence[Frame]) -> TracebackType | None:
    """Build a traceback whose entries carry the names and lines of remote frames."""
    tb: TracebackType | None = None
    for frame in reversed(frames):
        name = frame.function
        code = _raising.replace(co_filename=frame.file, co_name=name, co_qualname=name, co_firstlineno=frame.line)
        try:
            exec(code, {"__name__": name, "__file__": frame.file})
        except ZeroDivisionError as error:
            here = cast(TracebackType, cast(TracebackType, error.__traceback__).tb_next)
            tb = TracebackType(tb, here.tb_frame, here.tb_lasti, frame.line)
    return tb


def _without_columns(code: CodeType) -> CodeType:
    # One location entry of kind 13, "still on that line, and no columns", for each eight code units: all is on the
    # first line, which notebooks ask the frame for, and there is nothing to underline.
    units = len(code.co_code) // 2
    table = b"".join(bytes((0x80 | 13 << 3 | min(8, units - at) - 1, 0)) for at in range(0, units, 8))
    return code.replace(co_linetable=table)


_raising: Final = _without_columns(compile("1 / 0", "<remote>", "exec"))


def remember_source(lines: dict[tuple[str, int], str]) -> None:
    """Let the standard traceback printers find the source of remote frames."""
    for (file, number), source in lines.items():
        if number > SOURCE_LINE_MAX:
            continue
        entry = linecache.cache.get(file)
        known = list(entry[2]) if entry is not None and len(entry) == 4 else []
        known.extend("\n" for _ in range(number - len(known)))
        known[number - 1] = source
        linecache.cache[file] = (len(known), None, known, file)
        _remembered[file] = None
    while len(_remembered) > SOURCES_MAX:
        oldest = next(iter(_remembered))
        del _remembered[oldest]
        linecache.cache.pop(oldest, None)


_remembered: Final[dict[str, None]] = {}
