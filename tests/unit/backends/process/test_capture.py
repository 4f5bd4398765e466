"""Bytes become whole lines, however they arrive."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from swell.backends.process.capture import READ_MAX, Capture, LineSplitter


def test_only_whole_lines_come_out() -> None:
    splitter = LineSplitter(100)
    assert splitter.feed(b"one\ntw") == "one\n"
    assert splitter.feed(b"o") == ""
    assert splitter.feed(b"\n\nthr") == "two\n\n"
    assert splitter.finish() == "thr"
    assert splitter.finish() == ""


def test_a_character_cut_in_two_is_put_together() -> None:
    splitter = LineSplitter(100)
    first, second = "é\n".encode()[:1], "é\n".encode()[1:]
    assert splitter.feed(first) + splitter.feed(second) == "é\n"


def test_what_is_not_utf8_is_replaced() -> None:
    splitter = LineSplitter(100)
    assert splitter.feed(b"a\xff\n") == "a\ufffd\n"
    assert splitter.feed(b"\xc3") + splitter.finish() == "\ufffd"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"x" * 25) == "x" * 10 + "\n" + "x" * 10 + "\n"
    assert splitter.finish() == "x" * 5


@given(st.lists(st.binary(max_size=40)), st.integers(1, 20))
def test_nothing_is_lost_and_no_line_is_too_long(pieces: list[bytes], line_max: int) -> None:
    splitter = LineSplitter(line_max)
    out = [splitter.feed(piece) for piece in pieces]
    assert all(text == "" or text.endswith("\n") for text in out)
    text = "".join(out) + splitter.finish()
    assert all(len(line) <= line_max for line in text.split("\n"))
    assert text.replace("\n", "") == b"".join(pieces).decode(errors="replace").replace("\n", "")


async def test_one_wakeup_reads_a_bounded_amount() -> None:
    heard: list[str] = []
    read_end, write_end = os.pipe()
    capture = Capture(read_end, 1 << 20, heard.append)
    os.write(write_end, b"x" * (READ_MAX - 1) + b"\n" + b"y" * 99 + b"\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len("".join(heard)) <= READ_MAX
    capture.finish()
    assert len("".join(heard)) == READ_MAX + 100
    os.close(write_end)


async def test_finish_takes_everything_written_and_closes() -> None:
    heard: list[str] = []
    read_end, write_end = os.pipe()
    capture = Capture(read_end, 1 << 20, heard.append)
    os.write(write_end, b"x" * 50_000 + b"\nend")
    capture.finish()
    capture.finish()
    assert "".join(heard) == "x" * 50_000 + "\nend"
    os.close(write_end)
