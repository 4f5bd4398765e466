"""Words and reports in any pieces; bytes that are none end the link, and nothing else happens."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.link.frames import LinkError
from swell.link.words import (
    REPORT_MAX,
    Exited,
    Load,
    ReportDecoder,
    Started,
    Wrote,
    decode_to_agent,
    decode_to_server,
    encode,
    encode_report,
)
from swell.model import MemoryExcess

REPORTS = [
    Started("ta-1", 7),
    Wrote("ta-1", "stdout", "line\n" * 1_000),
    Exited("ta-1", "killed by SIGKILL", True, MemoryExcess(2, 1)),
]


@given(st.integers(1, 300))
def test_reports_may_be_cut_anywhere(cut: int) -> None:
    stream = b"".join(map(encode_report, REPORTS))
    decoder = ReportDecoder()
    assert [report for at in range(0, len(stream), cut) for report in decoder.feed(stream[at : at + cut])] == REPORTS


def test_a_report_of_too_much_is_refused_before_it_is_waited_for() -> None:
    with pytest.raises(LinkError):
        ReportDecoder().feed(struct.pack("<I", REPORT_MAX + 1))


DECODERS: list[Callable[[bytes], Any]] = [
    decode_to_agent,
    decode_to_server,
    lambda body: ReportDecoder().feed(struct.pack("<I", len(body)) + body),
]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x91" * 5_000, b"\xdd\xff\xff\xff\xff", b"\x94\x04\xa1a\xa6stdout\xa1\xff"]
)
def test_bytes_that_are_no_word_end_the_link(decode: Callable[[bytes], Any], body: bytes) -> None:
    with pytest.raises(LinkError):
        decode(body)


@pytest.mark.parametrize("decode", DECODERS)
@given(
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(st.integers(0, 1 << 63), st.lists, max_leaves=8).map(msgspec.msgpack.encode),
    )
)
def test_any_bytes_are_a_word_or_end_the_link(decode: Callable[[bytes], Any], body: bytes) -> None:
    with contextlib.suppress(LinkError):
        decode(body)


@pytest.mark.parametrize(
    "load", [Load(math.nan, 0, 0, 0), Load(0, math.inf, 0, 0), Load(0, 0, -1, 0), Load(0, 0, 0, 1 << 60)]
)
def test_a_load_that_would_fail_far_from_here_is_refused(load: Load) -> None:
    with pytest.raises(LinkError):
        decode_to_server(encode(load))
