"""A client's connection understands the same, however the bytes come."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest
from fakes import Loop, Owner, Wire
from hypothesis import given
from hypothesis import strategies as st

from swell.config import Settings
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.downstream import Downstream
from swell.edge.gateway.http_error import HTTPError

if TYPE_CHECKING:
    import asyncio


class Echo:
    """In the place of an exchange: answers a request with what it was, when it is complete."""

    def __init__(self, house: House, client: Downstream) -> None:
        self._house = house
        self._client = client
        self._said = b"%b %b" % (client.head.method, client.head.target)
        self._body = b""
        if not client.head.has_body:
            self.request_complete()

    def request_body(self, data: bytes) -> None:
        self._body += data

    def request_complete(self) -> None:
        if self not in self._house.done:
            self._house.done.append(self)
            self._house.heard.append((self._said, self._body))
            self._client.send(b"<%b>" % self._said)
            keeps = self._client.head.keeps_alive
            self._house.loop.call_soon(lambda: self._client.finish(may_stay=keeps))

    def abort(self, error: HTTPError) -> None:
        self._client.respond(error)

    def abandon(self) -> None:
        self._house.abandoned += 1

    def client_full(self, *, is_full: bool) -> None:
        self._house.told_full.append(is_full)

    def client_tunnel_data(self, data: bytes) -> None:
        self._body += data

    def half_closed(self) -> bool:
        return False


class House(Owner):
    """Answers every request with what it was."""

    def __init__(self) -> None:
        super().__init__(Settings(web_head_max=1_024, web_body_max=50))
        self.heard: list[tuple[bytes, bytes]] = []
        self.done: list[Echo] = []
        self.abandoned = 0
        self.loop = Loop()
        self.told_full: list[bool] = []
        self.refuses = False  #: everything

    def admit(self, client: Downstream) -> RequestSink:
        if self.refuses:
            raise HTTPError(404, "nothing answers here")
        return Echo(self, client)


class Silent(Echo):
    """An exchange that has no answer yet."""

    def __init__(self, house: House, client: Downstream) -> None:
        self._house, self._client, self._body = house, client, b""

    def request_complete(self) -> None: ...


class Slow(House):
    """Answers nothing yet."""

    def admit(self, client: Downstream) -> RequestSink:
        return Silent(self, client)


Heard = tuple[list[tuple[bytes, bytes]], bytes, bool]


class Call:
    """A client's connection to a house."""

    def __init__(self, house: House | None = None) -> None:
        self.house, self.wire = house or House(), Wire()
        self.loop = self.house.loop
        self.connection = Downstream(self.house, self.loop)
        self.connection.connection_made(cast("asyncio.Transport", self.wire))

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)
        self.loop.run()


def sent(pieces: list[bytes]) -> Heard:
    """What is heard of pieces that come one after another, while the connection reads."""
    call = Call()
    for piece in pieces:
        assert call.wire.reads, "it does not go on reading"
        if not call.wire.is_ended:
            call.send(piece)
    call.connection.connection_lost(None)
    return call.house.heard, call.wire.written, call.wire.is_ended


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
    b"POST /g" + HOST + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /h" + HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nGET /",
    b"POST /i"
    + HOST
    + b"Upgrade: h2c\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
]
HEARD = [
    (b"GET /a", b""),
    (b"POST /b", b"hello"),
    (b"POST /c", b"abcde"),
    (b"HEAD /d?q=1", b""),
    (b"POST /e", b""),
    (b"GET /f", b""),
    (b"POST /g", b"hello"),
    (b"GET /h", b"GET /"),
    (b"POST /i", b"hi"),
]


@given(
    st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=5),
    st.lists(st.integers(0, 2_000), max_size=30),
)
def test_requests_are_the_same_however_they_are_cut(which: list[int], at: list[int]) -> None:
    heard, written, is_ended = sent(cut(b"".join(REQUESTS[n] for n in which), at))
    assert heard == [HEARD[n] for n in which]
    assert written == b"".join(b"<%b>" % HEARD[n][0] for n in which)
    assert not is_ended


@pytest.mark.parametrize("which", range(len(REQUESTS)))
def test_requests_are_the_same_byte_by_byte(which: int) -> None:
    data = REQUESTS[which] * 2
    assert sent([data[n : n + 1] for n in range(len(data))])[0] == [HEARD[which]] * 2


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
    (b"POST /bad" + HOST + b"Content-Length: \r\n\r\n", b"400"),
    (b"POST /bad" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", b"400"),
    (b"POST /bad" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    (b"GET  /bad" + HOST + b"\r\n", b"400"),
    (b"GET /bad HTTP/1.1\nHost: x\r\n\r\n", b"400"),
    (b"\r\n" * 5 + b"GET /bad" + HOST + b"\r\n", b"400"),
]


@given(st.sampled_from(BAD), st.lists(st.integers(0, 2_000), max_size=10))
def test_what_is_bad_is_refused_and_nothing_after_it_is_heard(bad: tuple[bytes, bytes], at: list[int]) -> None:
    data, status = bad
    smuggled = REQUESTS[0].replace(b"/a", b"/smuggled")
    heard, written, is_ended = sent(cut(REQUESTS[1] + data + smuggled, at))
    assert heard == [HEARD[1]]
    first, _, rest = written.partition(b"HTTP/1.1 ")
    assert first == b"<POST /b>"
    assert rest[:3] == status, written
    assert rest.count(b"HTTP/1.1") == 0
    assert is_ended


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_survived(data: bytes, at: list[int]) -> None:
    sent(cut(data + b"\r\n\r\n", at))


def test_a_chunked_body_that_becomes_too_large_is_refused() -> None:
    begin = b"POST /bad" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    heard, written, is_ended = sent([begin, *[b"5\r\n12345\r\n"] * 10, b"1\r\n6\r\n0\r\n\r\n" + REQUESTS[0]])
    assert heard == []
    assert written.startswith(b"HTTP/1.1 413")
    assert is_ended


# ---------------------------------------------------------------- clients that do not read


def test_a_client_that_reads_no_answers_is_asked_for_no_more_requests() -> None:
    call = Call()
    call.house.refuses = True
    call.send(REQUESTS[0] * 2)
    assert call.wire.written.count(b"HTTP/1.1 404") == 2
    call.connection.pause_writing()
    call.send(REQUESTS[0] * 100)
    assert (call.wire.written.count(b"HTTP/1.1 404"), call.wire.reads) == (2, False)
    call.connection.resume_writing()
    call.loop.run()
    assert (call.wire.written.count(b"HTTP/1.1 404"), call.wire.reads) == (102, True)


def test_a_client_that_is_full_in_the_middle_of_many_refusals_gets_the_rest_later() -> None:
    call = Call()
    call.house.refuses = True
    write, limit = call.wire.write, 10

    def write_until_full(data: bytes) -> None:
        write(data)
        if call.wire.written.count(b"HTTP/1.1 404") == limit:
            call.connection.pause_writing()

    call.wire.write = write_until_full  # pyright: ignore[reportAttributeAccessIssue]
    call.send(REQUESTS[0] * 20)
    assert (call.wire.written.count(b"HTTP/1.1 404"), call.wire.reads) == (10, False)
    call.connection.resume_writing()
    assert (call.wire.written.count(b"HTTP/1.1 404"), call.wire.reads) == (20, True)


def test_an_exchange_that_begins_is_told_that_its_client_does_not_read() -> None:
    call = Call()
    call.connection.pause_writing()
    call.send(b"POST /b" + HOST + b"Content-Length: 5\r\n\r\n")
    assert call.house.heard == []
    call.connection.resume_writing()
    call.connection.pause_writing()
    call.connection.resume_writing()
    assert call.house.told_full == [True, False]


def test_what_was_sent_has_time_to_arrive_as_long_as_some_of_it_does() -> None:
    call = Call()
    call.send(BAD[0][0])
    assert call.wire.is_ended
    call.wire.unsent = 100_000
    call.loop.pass_time(2)
    for _ in range(10):
        call.wire.unsent -= 1_000
        call.loop.pass_time(29)
        assert not call.wire.is_broken
        call.loop.pass_time(1)
    call.loop.pass_time(30)
    assert call.wire.is_broken, "a client that takes nothing more is not waited for"


def answering() -> Call:
    """A request that is being answered, by more than the client takes."""
    call = Call(Slow())
    call.send(REQUESTS[0])
    call.connection.send(bytes(100_000))
    call.wire.unsent = 90_000
    call.connection.pause_writing()
    return call


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    call = answering()
    patience_s = call.house.settings.web_head_timeout_s
    call.loop.pass_time(patience_s - 1)
    assert not call.wire.is_broken
    call.loop.pass_time(1)
    assert call.wire.is_broken
    assert [record.exc_info for record in caplog.records] == [None]
    call.connection.connection_lost(None)
    assert call.house.abandoned == 1


def test_a_client_that_takes_some_of_its_answer_has_time_for_all_of_it() -> None:
    call = answering()
    patience_s = call.house.settings.web_head_timeout_s
    for _ in range(10):
        call.connection.send(bytes(20_000))  # what was on its way when it was full
        call.wire.unsent += 19_000
        call.loop.pass_time(patience_s)
        assert not call.wire.is_broken
    call.connection.resume_writing()
    call.loop.pass_time(10 * patience_s)
    assert not call.wire.is_broken


def test_the_rest_of_an_answer_is_not_waited_for_though_most_of_it_was_taken() -> None:
    call = answering()
    call.connection.finish(may_stay=False)
    call.loop.pass_time(2)
    call.wire.unsent = 1_000
    call.connection.resume_writing()
    call.loop.pass_time(3 * call.house.settings.web_head_timeout_s)
    assert call.wire.is_broken


def test_a_body_has_to_come_once_it_was_asked_for() -> None:
    call = Call(Slow())
    call.send(b"POST /b" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    patience_s = call.house.settings.web_head_timeout_s
    call.loop.pass_time(10 * patience_s)
    assert not call.wire.is_ended
    call.connection.expect_body()
    call.loop.pass_time(patience_s - 1)
    assert not call.wire.is_ended
    call.loop.pass_time(1)
    assert call.wire.written.startswith(b"HTTP/1.1 408")


def test_a_body_that_has_arrived_unasked_is_not_awaited_when_it_is_asked_for() -> None:
    call = Call(Slow())
    call.send(b"POST /b" + HOST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n")
    call.connection.expect_body()
    call.loop.pass_time(2 * call.house.settings.web_head_timeout_s)
    assert (call.wire.written, call.wire.is_ended) == (b"", False)


def test_an_idle_client_that_has_not_read_its_last_answer_is_not_kept_for_ever() -> None:
    call = Call()
    call.send(REQUESTS[0])
    call.wire.unsent = 50_000
    call.loop.pass_time(60 + 30)
    assert call.wire.is_broken


# ---------------------------------------------------------------- what comes too soon


def test_requests_sent_ahead_wait_unread_and_are_all_answered() -> None:
    call = Call()
    many = 500
    call.connection.data_received(REQUESTS[0] * many)
    assert (len(call.house.heard), call.wire.reads) == (1, False), "the next is not looked at before this one is over"
    call.loop.run()
    assert (len(call.house.heard), call.wire.reads) == (many, True)


def test_what_comes_before_the_switch_of_protocols_is_kept_up_to_a_bound() -> None:
    offer = b"GET /ws" + HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"

    for size in (1_000, 2_000):
        call = Call(Slow())
        for piece in (offer, *[b"x" * 100] * (size // 100)):
            call.send(piece)
        assert call.wire.written.startswith(b"HTTP/1.1 400") is (size > 1_024)
        assert call.wire.is_ended is (size > 1_024)


# ---------------------------------------------------------------- time


def test_a_head_has_its_time_however_often_a_byte_comes() -> None:
    call = Call()
    limit = call.house.settings.web_head_timeout_s
    for byte in REQUESTS[0][:20]:
        call.send(bytes([byte]))
        call.loop.pass_time(limit / 25)
    assert not call.wire.written
    call.loop.pass_time(limit / 4)
    assert call.wire.written.startswith(b"HTTP/1.1 408")


def test_a_second_head_has_its_own_time() -> None:
    call = Call()
    limit = call.house.settings.web_head_timeout_s
    call.send(REQUESTS[0])
    call.loop.pass_time(limit + 1)
    call.send(REQUESTS[0][:10])
    call.loop.pass_time(limit - 1)
    assert b"408" not in call.wire.written
    call.loop.pass_time(1)
    assert b"HTTP/1.1 408" in call.wire.written


def test_a_body_may_pause_for_its_time_each_time_and_no_longer() -> None:
    call = Call()
    limit = call.house.settings.web_head_timeout_s
    call.send(b"POST /b" + HOST + b"Content-Length: 5\r\n\r\n")
    for _ in range(3):
        call.loop.pass_time(limit - 1)
        call.send(b"x")
    call.loop.pass_time(limit)
    assert call.wire.written.startswith(b"HTTP/1.1 408")


def test_extensions_of_chunks_are_no_progress() -> None:
    call = Call()
    limit = call.house.settings.web_head_timeout_s
    call.send(b"POST /b" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;")
    for _ in range(10):
        call.loop.pass_time(limit / 10)
        call.send(b"e")
    assert call.wire.written.startswith(b"HTTP/1.1 408")


def test_a_client_that_sends_blank_lines_only_is_closed_without_a_word() -> None:
    call = Call()
    call.send(b"\r\n")
    call.loop.pass_time(call.house.settings.web_head_timeout_s)
    assert (call.wire.written, call.wire.is_ended) == (b"", True)


# ---------------------------------------------------------------- defects


def test_a_defect_costs_one_request_and_its_traceback_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(House):
        def admit(self, client: Downstream) -> RequestSink:
            raise LookupError("as a defect would")

    owner = Broken()
    for _ in range(3):
        call = Call()
        call.connection._owner = owner  # pyright: ignore[reportPrivateUsage]
        call.send(REQUESTS[0])
        assert call.wire.written.startswith(b"HTTP/1.1 500")
        assert call.wire.is_ended
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]
