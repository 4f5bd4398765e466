"""What the parser of the admin port refuses, however it is cut, and with which status."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.admin.connection import CHUNKS_MAX, HEADERS_MAX, BoundedParser

HEAD_MAX = 1_000
BODY_MAX = 100
HOST = b"Host: localhost\r\n"


def parse(data: bytes, cuts: tuple[int, ...] = (), body_max: int = BODY_MAX) -> int:
    """Feed a request in pieces; return the status with which it is refused, 200 if it is taken."""
    parser = BoundedParser(HEAD_MAX, body_max)
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        if piece := data[start:end]:
            parser.receive_data(piece)
        try:
            while parser.next_event() not in (h11.NEED_DATA, h11.PAUSED):
                pass
        except h11.RemoteProtocolError as error:
            assert parser.error is error
            return error.error_status_hint
    return 200


def head(*headers: bytes, target: bytes = b"/") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%b\r\n" % (target, HOST, b"".join(header + b"\r\n" for header in headers))


CASES = [
    (head(), 200),
    (head(b"X: " + b"x" * (HEAD_MAX // 2)), 200),
    (head(b"X: " + b"x" * HEAD_MAX), 431),
    (head(target=b"/" + b"x" * HEAD_MAX), 431),
    (head(*[b"a:"] * (HEADERS_MAX - 1)), 200),
    (head(*[b"a:"] * HEADERS_MAX), 431),
    (head(b"Content-Length: %d" % BODY_MAX) + bytes(BODY_MAX), 200),
    (head(b"Content-Length: %d" % (BODY_MAX + 1)), 413),
    (head(b"Content-Length: 10000000000000000000000"), 400),
    (head(b"Content-Length: \xb2"), 400),
    (head(b"Content-Length: -1"), 400),
    (head(b"Transfer-Encoding: chunked") + b"64\r\n" + bytes(BODY_MAX) + b"\r\n0\r\n\r\n", 200),
    (head(b"Transfer-Encoding: chunked") + b"64\r\n" + bytes(BODY_MAX) + b"\r\n1\r\nx\r\n", 413),
    (head(b"Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * HEAD_MAX, 431),
    (head(b"Transfer-Encoding: chunked") + b"1;" + b"x" * 2 * HEAD_MAX, 431),
    (head(b"Transfer-Encoding: gzip, chunked"), 501),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00", 400),
]


@pytest.mark.parametrize(("data", "status"), CASES)
def test_what_is_too_large_or_no_http_is_refused(data: bytes, status: int) -> None:
    assert parse(data) == status


@given(st.sampled_from(CASES), st.data())
def test_it_makes_no_difference_how_a_request_is_cut(case: tuple[bytes, int], draw: st.DataObject) -> None:
    data, status = case
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=5).map(sorted))
    assert parse(data, tuple(cuts)) == status


@pytest.mark.parametrize(("chunks", "status"), [(CHUNKS_MAX, 200), (CHUNKS_MAX + 1, 413)])
def test_a_body_has_a_bounded_number_of_chunks(chunks: int, status: int) -> None:
    data = head(b"Transfer-Encoding: chunked") + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    assert parse(data, body_max=CHUNKS_MAX * 2) == status


def test_chunks_are_counted_for_each_body() -> None:
    parser = BoundedParser(HEAD_MAX, CHUNKS_MAX)
    for _ in range(2):
        parser.receive_data(head(b"Transfer-Encoding: chunked") + b"1\r\nx\r\n" * CHUNKS_MAX + b"0\r\n\r\n")
        while not isinstance(parser.next_event(), h11.EndOfMessage):
            pass
        parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        parser.send(h11.EndOfMessage())
        parser.start_next_cycle()


def test_pieces_that_a_slow_network_makes_are_no_chunks() -> None:
    size = CHUNKS_MAX + 1
    data = head(b"Content-Length: %d" % size) + bytes(size)
    assert parse(data, tuple(range(len(data) - size, len(data))), body_max=size) == 200
