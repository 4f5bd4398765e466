"""A client's connection understands the same, however the bytes come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swell.config import Settings
from swell.edge.gateway.client import Connection
from swell.edge.gateway.defect_log import DefectLog
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.refusal import Refusal


class Wire:
    """A transport: what was written to it, and whether it would read."""

    def __init__(self) -> None:
        self.written = b""
        self.reads = True
        self.is_ended = False
        self.is_broken = False

    def get_extra_info(self, name: str) -> object:
        return ("10.0.0.9", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.is_ended, "nothing is said after the end"
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_ended = True

    def close(self) -> None:
        self.is_ended = True

    def abort(self) -> None:
        self.is_ended = self.is_broken = True

    def is_closing(self) -> bool:
        return self.is_broken

    def is_reading(self) -> bool:
        return self.reads

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_write_buffer_size(self) -> int:
        return 0


class Echo:
    """In the place of an exchange: answers a request with what it was, when it is complete."""

    def __init__(self, house: House, client: Connection) -> None:
        self._house = house
        self._client = client
        self._said = b"%b %b" % (client.head.method, client.head.target)
        self._body = b""
        if not client.head.has_body:
            self.complete()

    def part(self, data: bytes) -> None:
        self._body += data

    def complete(self) -> None:
        if self not in self._house.done:
            self._house.done.append(self)
            self._house.heard.append((self._said, self._body))
            self._client.send(b"<%b>" % self._said)
            keeps = self._client.head.keeps_alive
            asyncio.get_running_loop().call_soon(lambda: self._client.finished(may_stay=keeps))

    def spoilt(self, refusal: Refusal) -> None:
        self._client.refuse(refusal)

    def desert(self) -> None:
        self._house.deserted += 1

    def client_full(self, *, is_full: bool) -> None:
        del is_full


class House:
    """Lets everybody in."""

    def __init__(self) -> None:
        self.settings = Settings(web_head_max=1_024, web_body_max=50)
        self.defects = DefectLog(logging.getLogger("swell.edge"))
        self.heard: list[tuple[bytes, bytes]] = []
        self.done: list[Echo] = []
        self.deserted = 0

    def enter(self, connection: Connection) -> bool:
        del connection
        return True

    def leave(self, connection: Connection) -> None:
        del connection

    def admit(self, client: Connection) -> Exchange:
        return cast("Exchange", Echo(self, client))


Heard = tuple[list[tuple[bytes, bytes]], bytes, bool]


async def sent(pieces: list[bytes]) -> Heard:
    """What is heard of pieces that come one after another, while the connection reads."""
    house, wire = House(), Wire()
    connection = Connection(house, asyncio.get_running_loop())
    connection.connection_made(cast("asyncio.Transport", wire))
    for piece in pieces:
        for _ in range(20):
            if wire.reads:
                break
            await asyncio.sleep(0)
        assert wire.reads, "it does not go on reading"
        if not wire.is_ended:
            connection.data_received(piece)
    for _ in range(100):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    return house.heard, wire.written, wire.is_ended


def run(coroutine: Coroutine[Any, Any, Heard]) -> Heard:
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    ends = [0, *sorted({each % len(data) for each in at} - {0}), len(data)]
    return [data[begin:end] for begin, end in pairwise(ends)]


HOST = b" HTTP/1.1\r\nHost: x\r\n"
REQUESTS = [
    b"GET /a" + HOST + b"\r\n",
    b"POST /b" + HOST + b"Content-Length: 5\r\n\r\nhello",
    b"POST /c" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
    b"HEAD /d?q=1" + HOST + b"X: " + b"y" * 200 + b"\r\n\r\n",
    b"POST /e" + HOST + b"Content-Length: 0\r\n\r\n",
    b"\r\nGET /f" + HOST + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
]
HEARD = [
    (b"GET /a", b""),
    (b"POST /b", b"hello"),
    (b"POST /c", b"abcde"),
    (b"HEAD /d?q=1", b""),
    (b"POST /e", b""),
    (b"GET /f", b""),
]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=5),
    st.lists(st.integers(0, 2_000), max_size=30),
)
def test_requests_are_the_same_however_they_are_cut(which: list[int], at: list[int]) -> None:
    heard, written, is_ended = run(sent(cut(b"".join(REQUESTS[n] for n in which), at)))
    assert heard == [HEARD[n] for n in which]
    assert written == b"".join(b"<%b>" % HEARD[n][0] for n in which)
    assert not is_ended


@pytest.mark.parametrize("which", range(len(REQUESTS)))
def test_requests_are_the_same_byte_by_byte(which: int) -> None:
    data = REQUESTS[which] * 2
    assert run(sent([data[n : n + 1] for n in range(len(data))]))[0] == [HEARD[which]] * 2


BAD = [
    (b"POST /bad" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    (b"POST /bad" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
    (b"GET /bad" + HOST + b"X: a\r\n b\r\n\r\n", b"400"),
    (b"GET /bad" + HOST + b"X: a\nY: b\r\n\r\n", b"400"),
    (b"GET /bad" + HOST + b"X: a\rY: b\r\n\r\n", b"400"),
    (b"GET /bad" + HOST + b"X: a\0b\r\n\r\n", b"400"),
    (b"GET /bad" + HOST + b"X : a\r\n\r\n", b"400"),
    (b"GET /b\xffd" + HOST + b"\r\n\x00", b"400"),
    (b"GET /bad" + HOST + b"X: " + b"y" * 1_100 + b"\r\n\r\n", b"431"),
    (b"POST /bad" + HOST + b"Content-Length: 51\r\n\r\n", b"413"),
]


@settings(max_examples=40)
@given(st.sampled_from(BAD), st.lists(st.integers(0, 2_000), max_size=10))
def test_what_is_bad_is_refused_and_nothing_after_it_is_heard(bad: tuple[bytes, bytes], at: list[int]) -> None:
    data, status = bad
    smuggled = REQUESTS[0].replace(b"/a", b"/smuggled")
    heard, written, is_ended = run(sent(cut(REQUESTS[1] + data + smuggled, at)))
    assert heard == [HEARD[1]]
    first, _, rest = written.partition(b"HTTP/1.1 ")
    assert first == b"<POST /b>"
    assert rest[:3] == status, written
    assert rest.count(b"HTTP/1.1") == 0
    assert is_ended


@settings(max_examples=40)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_survived(data: bytes, at: list[int]) -> None:
    run(sent(cut(data + b"\r\n\r\n", at)))


def test_a_chunked_body_that_becomes_too_large_is_refused() -> None:
    begin = b"POST /bad" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    heard, written, is_ended = run(sent([begin, *[b"5\r\n12345\r\n"] * 10, b"1\r\n6\r\n0\r\n\r\n" + REQUESTS[0]]))
    assert heard == []
    assert written.startswith(b"HTTP/1.1 413")
    assert is_ended
