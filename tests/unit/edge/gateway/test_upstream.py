"""Answers of containers are understood the same, however the bytes come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.gateway.head import Forwarding, Header, Origin, RequestHead, ResponseHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.upstream import SiteAddress, Upstream
from swell.edge.gateway.upstream_pool import UpstreamPool
from swell.logs import PeerLog


class Wire:
    """A transport that keeps what is written, and ends."""

    def __init__(self) -> None:
        self.is_broken = False
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def abort(self) -> None:
        self.is_broken = True

    def is_closing(self) -> bool:
        return self.is_broken

    def is_reading(self) -> bool:
        return True


def upstreams(count_max: int = 100) -> UpstreamPool:
    return UpstreamPool(PeerLog(logging.getLogger("swell.edge")), count_max, node_timeout_s=5.0)


class Taken:
    """What is taken of an answer."""

    def __init__(self) -> None:
        self.interims: list[int] = []
        self.statuses: list[int] = []
        self.body = b""
        self.raw_bytes = b""
        self.completed = 0
        self.lost: list[bool] = []
        self.fault = ""

    def interim_response(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def response_head(self, head: ResponseHead) -> None:
        self.statuses.append(head.status)

    def response_body(self, data: bytes) -> None:
        self.body += data

    def response_complete(self) -> None:
        self.completed += 1

    def tunnel_data(self, data: bytes) -> None:
        self.raw_bytes += data

    def upstream_lost(self, *, in_order: bool, fault: str) -> None:
        self.lost.append(in_order)
        self.fault = fault

    def upstream_full(self, *, is_full: bool) -> None:
        del is_full


TO = Forwarding(b"/", [], Origin(b"10.0.0.9", b"http", b"here:80"), frozenset(), close=False)
OFFER = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]


def request(method: bytes = b"GET", *headers: Header) -> RequestHead:
    return RequestHead(method, b"/", "1.1", [(b"host", b"x"), *headers])


def answered(
    data: bytes, at: list[int], method: bytes = b"GET", *headers: Header, then_ends: bool = False
) -> tuple[Taken, Wire, bool]:
    """What is taken of bytes that come in pieces; and whether the connection is good for another request."""
    pool, wire, taken = upstreams(), Wire(), Taken()
    upstream = Upstream(SiteAddress("site.sock"), pool)
    upstream.connection_made(cast("asyncio.Transport", wire))
    upstream.begin(taken, request(method, *headers), TO)
    ends = [0, *sorted({each % len(data) for each in at} - {0}), len(data)]
    for begin, end in pairwise(ends):
        if not wire.is_broken:
            upstream.data_received(data[begin:end])
    if then_ends or wire.is_broken:
        upstream.connection_lost(None)
    elif taken.completed:
        upstream.leave()
    return taken, wire, pool.idle(SiteAddress("site.sock")) is upstream


OK = b"HTTP/1.1 200 OK\r\n"
CUTS = st.lists(st.integers(0, 300), max_size=12)


@pytest.mark.parametrize(
    ("data", "method", "body", "stays"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"GET", b"hello", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"GET", b"", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: 1\r\n\r\n", b"GET", b"hello", True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"GET", b"hello", False),
        (OK + b"Content-Length: 5\r\n\r\n", b"HEAD", b"", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"HEAD", b"", True),
        (OK + b"\r\n", b"HEAD", b"", True),
        (OK.replace(b"1.1", b"1.0") + b"Content-Length: 5\r\n\r\nhello", b"GET", b"hello", False),
        (OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi", b"GET", b"hi", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"POST", b"hi", True),
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, method: bytes, body: bytes, stays: bool) -> None:
    @given(CUTS)
    def check(at: list[int]) -> None:
        taken, _, is_kept = answered(data, at, method)
        assert len(taken.statuses) == 1
        assert (taken.body, taken.completed, taken.lost) == (body, 1, [])
        assert taken.interims == ([100] if b" 100 " in data else [])
        assert is_kept is stays

    check()


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


@given(CUTS)
def test_after_a_switch_of_protocols_bytes_are_just_bytes(at: list[int]) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    taken, _, is_kept = answered(head + b"\x81\x02hi\r\n\r\n", at, b"GET", *OFFER)
    assert (taken.statuses, taken.raw_bytes, taken.completed) == ([101], b"\x81\x02hi\r\n\r\n", 0)
    assert not is_kept


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n1",
        OK + b"Content-Length: 9999999999999999999\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK.replace(b"1.1", b"2.0") + b"\r\n",
        b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 65,
        OK + b"X: " + b"y" * (256 << 10),
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_breaks_the_connection(data: bytes) -> None:
    taken, wire, is_kept = answered(data, [])
    assert wire.is_broken
    assert (taken.completed, taken.lost, is_kept) == (0, [False], False)
    assert taken.fault


def test_a_container_that_speaks_unasked_is_not_listened_to() -> None:
    taken, wire, _ = answered(OK + b"Content-Length: 2\r\n\r\nhi", [])
    assert taken.body == b"hi"
    assert not wire.is_broken
    pool, other = upstreams(), Wire()
    upstream = Upstream(SiteAddress("site.sock"), pool)
    upstream.connection_made(cast("asyncio.Transport", other))
    pool.keep(upstream)
    upstream.data_received(OK)
    assert other.is_broken
    assert pool.idle(SiteAddress("site.sock")) is None


def test_an_answer_too_many_costs_the_connection_and_is_given_to_nobody() -> None:
    one = OK + b"Content-Length: 2\r\n\r\n"
    taken, wire, is_kept = answered(one + b"hi" + one + b"h", [])
    assert (taken.body, taken.completed) == (b"hi", 1)
    assert wire.is_broken
    assert not is_kept


# ---------------------------------------------------------------- whether another request may follow

CHUNKED = (b"transfer-encoding", b"chunked")
FIVE = (b"content-length", b"5")
ANSWER = OK + b"Content-Length: 0\r\n\r\n"


class Exchange(Taken):
    """A request on a connection of its own, written step by step; it leaves when its answer is complete."""

    def __init__(self, *headers: Header, to: Forwarding = TO) -> None:
        super().__init__()
        self.pool, self.wire = upstreams(), Wire()
        self.upstream = Upstream(SiteAddress("site.sock"), self.pool)
        self.upstream.connection_made(cast("asyncio.Transport", self.wire))
        self.upstream.begin(self, request(b"POST", *headers), to)

    def response_complete(self) -> None:
        super().response_complete()
        self.upstream.leave()

    def is_kept_after(self, answer: bytes) -> bool:
        self.upstream.data_received(answer)
        is_kept = self.pool.idle(SiteAddress("site.sock")) is self.upstream
        assert is_kept is not self.wire.is_broken, "it is either kept or broken"
        return is_kept


def test_a_connection_is_kept_if_the_body_is_as_announced_and_the_answer_whole() -> None:
    for headers, parts, body in (
        ([], [], b""),
        ([(b"content-length", b"0")], [], b""),
        ([FIVE], [b"12", b"", b"345"], b"12345"),
        ([CHUNKED], [b"12", b"", b"345"], b"2\r\n12\r\n3\r\n345\r\n0\r\n\r\n"),
    ):
        one = Exchange(*headers)
        for part in parts:
            one.upstream.write_body(part)
        one.upstream.end_body()
        assert one.wire.written.partition(b"\r\n\r\n")[2] == body
        assert one.is_kept_after(ANSWER)


def test_a_connection_whose_request_was_not_all_written_is_never_used_again() -> None:
    """Its site waits for the rest of the body, and would take it from the next request."""
    for headers, parts in (([FIVE], []), ([FIVE], [b"1234"]), ([CHUNKED], []), ([CHUNKED], [b"12345"])):
        one = Exchange(*headers)
        for part in parts:
            one.upstream.write_body(part)
        assert not one.is_kept_after(ANSWER)


def test_no_more_of_a_body_can_be_written_than_was_announced() -> None:
    """More of it would be read as the next request."""
    for headers, parts in (([], [b"x"]), ([FIVE], [b"123456"]), ([FIVE], [b"12345", b"6"]), ([FIVE], [b"1", b"23456"])):
        one = Exchange(*headers)
        for part in parts:
            one.upstream.write_body(part)
        assert len(one.wire.written.partition(b"\r\n\r\n")[2]) <= 5
        assert one.wire.is_broken
        one.upstream.connection_lost(None)
        assert "more than the head announces" in one.fault


def test_chunks_end_once() -> None:
    one = Exchange(CHUNKED)
    one.upstream.end_body()
    one.upstream.end_body()
    assert one.wire.written.endswith(b"\r\n\r\n0\r\n\r\n")
    one.upstream.write_body(b"x")
    assert one.wire.is_broken


def test_a_body_that_ends_too_soon_breaks_the_connection() -> None:
    one = Exchange(FIVE)
    one.upstream.write_body(b"1234")
    one.upstream.end_body()
    assert one.wire.is_broken


def test_bytes_of_another_protocol_are_not_written_before_the_switch() -> None:
    one = Exchange()
    one.upstream.write_raw(b"GET / HTTP/1.1\r\n\r\n")
    assert one.wire.written.count(b"HTTP/1.1") == 1
    assert one.wire.is_broken


@pytest.mark.parametrize("behind", [b"x", b"\r\n", ANSWER])
def test_a_connection_on_which_anything_follows_the_answer_is_never_used_again(behind: bytes) -> None:
    assert not Exchange().is_kept_after(ANSWER + behind)
    one = Exchange()
    assert one.is_kept_after(ANSWER)
    one.pool.keep(one.upstream)
    one.upstream.data_received(behind)
    assert one.pool.idle(SiteAddress("site.sock")) is None


def test_a_connection_that_was_to_be_closed_or_has_been_told_of_an_end_is_never_used_again() -> None:
    assert not Exchange(to=TO._replace(close=True)).is_kept_after(ANSWER)
    one = Exchange()
    one.upstream.write_eof()
    assert not one.is_kept_after(ANSWER)


def test_what_counts_for_one_request_does_not_count_for_the_next() -> None:
    one = Exchange()
    assert one.is_kept_after(ANSWER)
    one.upstream.begin(one, request(b"POST", FIVE), TO)
    one.upstream.write_body(b"123")
    assert not one.is_kept_after(ANSWER)


# ---------------------------------------------------------------- how many there may be


class Loop:
    """Makes connections at once."""

    async def create_unix_connection(self, make: Callable[[], Upstream], path: str) -> tuple[Wire, Upstream]:
        del path
        wire, upstream = Wire(), make()
        upstream.connection_made(cast("asyncio.Transport", wire))
        return wire, upstream


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "get_running_loop", Loop)


def connected(pool: UpstreamPool, path: str) -> Upstream:
    try:
        pool.connect(SiteAddress(path)).send(None)
    except StopIteration as made:
        return cast("Upstream", made.value)
    raise AssertionError("it waits")


@pytest.mark.usefixtures("loop")
def test_the_connection_that_is_idle_longest_makes_room_for_a_new_one() -> None:
    pool = upstreams(3)
    first, second, third = (connected(pool, path) for path in ("a", "b", "a"))
    for upstream in (second, first):
        pool.keep(upstream)
    fourth = connected(pool, "c")
    assert [each.is_open for each in (first, second, third, fourth)] == [True, False, True, True]
    assert pool.idle(SiteAddress("b")) is None
    assert pool.idle(SiteAddress("a")) is first


@pytest.mark.usefixtures("loop")
def test_where_all_connections_are_in_use_a_request_is_refused() -> None:
    pool = upstreams(2)
    first, second = connected(pool, "a"), connected(pool, "a")
    with pytest.raises(HTTPError, match="2 connections to containers are in use") as refused:
        connected(pool, "a")
    assert refused.value.status == 503
    first.connection_lost(None)
    connected(pool, "a")
    pool.keep(second)
    assert pool.idle(SiteAddress("a")) is second


def test_a_bad_answer_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    taken, _, _ = answered(b"HTTP/1.1 200 OK\r\nX: \x1b[2J\nContent-Length: 0\r\n\r\n", [])
    assert taken.fault
    upstream = Upstream(SiteAddress("site.sock"), upstreams())
    upstream.connection_made(cast("asyncio.Transport", Wire()))
    upstream.begin(Taken(), request(), TO)
    upstream.data_received(b"HTTP/9\x1b[2J\r\n\r\n")
    upstream.connection_lost(None)
    (record,) = [each for each in caplog.records if "site.sock" in each.getMessage()][-1:]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("site.sock: the answer of the container is not valid HTTP: ")
    assert record.getMessage().isprintable()
    assert record.exc_info is None
