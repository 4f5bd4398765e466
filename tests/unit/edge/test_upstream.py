"""Answers of containers are understood the same, however the bytes come."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swell.edge.gateway.head import ResponseHead
from swell.edge.gateway.upstream import Upstream, Upstreams


class Wire:
    """A transport that only ends."""

    def __init__(self) -> None:
        self.is_broken = False

    def write(self, data: bytes) -> None:
        del data

    def abort(self) -> None:
        self.is_broken = True

    def is_closing(self) -> bool:
        return self.is_broken

    def resume_reading(self) -> None:
        pass


class Taken:
    """What is taken of an answer."""

    def __init__(self) -> None:
        self.interims: list[int] = []
        self.statuses: list[int] = []
        self.body = b""
        self.raw_bytes = b""
        self.completed = 0
        self.lost: list[bool] = []

    def interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def answer(self, head: ResponseHead) -> None:
        self.statuses.append(head.status)

    def answer_part(self, data: bytes) -> None:
        self.body += data

    def answer_complete(self) -> None:
        self.completed += 1

    def raw(self, data: bytes) -> None:
        self.raw_bytes += data

    def upstream_lost(self, *, in_order: bool) -> None:
        self.lost.append(in_order)

    def upstream_full(self, *, is_full: bool) -> None:
        del is_full


def answered(
    data: bytes, at: list[int], method: bytes = b"GET", *, then_ends: bool = False
) -> tuple[Taken, Wire, bool]:
    """What is taken of bytes that come in pieces; and whether the connection is good for another request."""
    pool, wire, taken = Upstreams(), Wire(), Taken()
    upstream = Upstream("site.sock", pool)
    upstream.connection_made(cast("asyncio.Transport", wire))
    upstream.begin(taken, b"", method)
    ends = [0, *sorted({each % len(data) for each in at} - {0}), len(data)]
    for begin, end in pairwise(ends):
        if not wire.is_broken:
            upstream.data_received(data[begin:end])
    if then_ends or wire.is_broken:
        upstream.connection_lost(None)
    elif taken.completed:
        upstream.leave(may_stay=True)
    return taken, wire, pool.idle("site.sock") is upstream


OK = b"HTTP/1.1 200 OK\r\n"
CUTS = st.lists(st.integers(0, 300), max_size=12)


@pytest.mark.parametrize(
    ("data", "method", "body", "stays"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"GET", b"hello", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"GET", b"", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: 1\r\n\r\n", b"GET", b"hello", True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"GET", b"hello", False),
        (OK + b"Content-Length: 5\r\n\r\n", b"HEAD", b"", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"POST", b"hi", True),
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, method: bytes, body: bytes, stays: bool) -> None:
    @settings(max_examples=15)
    @given(CUTS)
    def check(at: list[int]) -> None:
        taken, _, is_kept = answered(data, at, method)
        assert len(taken.statuses) == 1
        assert (taken.body, taken.completed, taken.lost) == (body, 1, [])
        assert taken.interims == ([100] if b" 100 " in data else [])
        assert is_kept is stays

    check()


@settings(max_examples=25)
@given(CUTS)
def test_an_answer_may_end_with_its_connection(at: list[int]) -> None:
    taken, _, is_kept = answered(OK + b"\r\nhello", at, then_ends=True)
    assert taken.body == b"hello"
    assert (taken.completed, taken.lost) in ((0, [True]), (1, []))
    assert not is_kept


@pytest.mark.parametrize(
    "data", [b"HTTP", OK, OK + b"Content-Length: 5\r\n\r\nhell", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n"]
)
def test_an_answer_that_breaks_off_is_not_taken_for_complete(data: bytes) -> None:
    taken, _, is_kept = answered(data, [], then_ends=True)
    assert (taken.completed, taken.lost, is_kept) == (0, [False], False)


@settings(max_examples=25)
@given(CUTS)
def test_after_a_switch_of_protocols_bytes_are_just_bytes(at: list[int]) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    taken, _, is_kept = answered(head + b"\x81\x02hi\r\n\r\n", at)
    assert (taken.statuses, taken.raw_bytes, taken.completed) == ([101], b"\x81\x02hi\r\n\r\n", 0)
    assert not is_kept


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_breaks_the_connection(data: bytes) -> None:
    taken, wire, is_kept = answered(data, [])
    assert wire.is_broken
    assert (taken.completed, taken.lost, is_kept) == (0, [False], False)


def test_a_container_that_speaks_unasked_is_not_listened_to() -> None:
    taken, wire, _ = answered(OK + b"Content-Length: 2\r\n\r\nhi", [])
    assert taken.body == b"hi"
    assert not wire.is_broken
    pool, other = Upstreams(), Wire()
    upstream = Upstream("site.sock", pool)
    upstream.connection_made(cast("asyncio.Transport", other))
    pool.keep(upstream)
    upstream.data_received(OK)
    assert other.is_broken
    assert pool.idle("site.sock") is None


def test_an_answer_too_many_costs_the_connection_and_is_given_to_nobody() -> None:
    one = OK + b"Content-Length: 2\r\n\r\n"
    taken, wire, is_kept = answered(one + b"hi" + one + b"h", [])
    assert (taken.body, taken.completed) == (b"hi", 1)
    assert wire.is_broken
    assert not is_kept
