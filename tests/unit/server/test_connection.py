"""A peer that sends what it likes, and reads when it likes: what its connection makes of it."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swell.errors import AuthError, Error
from swell.server.connection import GATHERED_MAX, LAG_MAX, UNREAD_MAX, UNSENT_MAX, Connection
from swell.server.connection_limits import ConnectionLimits
from swell.server.deferred_results import DeferredResults
from swell.wire import codec
from swell.wire import messages as m
from swell.wire.web import Routes

FRAME_MAX = 64 << 20
HELLO = m.Hello("client", m.PROTOCOL, "peer")


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not make a connection give way to others in the middle of a test."""
    monkeypatch.setattr("swell.server.connection.time", SimpleNamespace(perf_counter=lambda: 0.0))


class Transport:
    """A socket whose other end reads nothing until it is told to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent: list[m.Message] = []
        self.writes = 0  #: system calls
        self.waiting = 0  #: bytes
        self.is_reading = True
        self.is_closed = self.is_aborted = False
        self._is_full = False
        self._decoder = codec.for_client(FRAME_MAX)

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == LAG_MAX

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.sent += [message for message, _ in self._decoder.feed(data)]
        self.waiting += len(data)
        if self.waiting > LAG_MAX and not self._is_full:
            self._is_full = True
            self.connection.pause_writing()

    def writelines(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def reads_all(self) -> None:
        self.waiting = 0
        if self._is_full:
            self._is_full = False
            self.connection.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class Plane:
    """What a connection reports to."""

    def __init__(self) -> None:
        self.heard: list[m.Message] = []
        self.lagging: list[bool] = []
        self.gone = 0
        self.refusal: Error | None = None
        self.answer = b""  #: sent for each message

    def connected(self, connection: Connection, hello: m.Hello) -> Error | None:
        return self.refusal

    def received(self, connection: Connection, message: m.Message, payload: bytes) -> None:
        self.heard.append(message)
        if self.answer:
            connection.send(m.Log("ap-1", "f", "ta-1", "stdout"), self.answer)

    def lags(self, connection: Connection, is_lagging: bool) -> None:
        self.lagging.append(is_lagging)

    def disconnected(self, connection: Connection) -> None:
        self.gone += 1


class Line:
    """A connection with both of its ends."""

    def __init__(self, limits: ConnectionLimits | None = None, number: int = 1, *, greets: bool = True) -> None:
        self.plane = Plane()
        self.connection = Connection(self.plane, number, FRAME_MAX, limits or ConnectionLimits(1_000))
        self.transport = Transport(self.connection)
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))
        if greets:
            self.says(HELLO)

    def says(self, *messages: m.Message) -> None:
        self.connection.data_received(b"".join(codec.encode(message) for message in messages))

    def tells(self, size: int) -> None:
        self.connection.send(m.Log("ap-1", "f", "ta-1", "stdout"), bytes(size))


@pytest.fixture(autouse=True)
async def loop() -> None:
    """Connections are made on a running event loop."""


# ---------------------------------------------------------------- sending together


def log(number: int) -> m.Log:
    return m.Log("ap-1", f"f{number}", "ta-1", "stdout")


async def test_messages_that_are_gathered_leave_with_the_next_one() -> None:
    line = Line()
    line.connection.gather(log(1))
    line.connection.gather(log(2))
    assert (line.transport.sent, line.transport.writes) == ([], 0)
    line.connection.send(log(3))
    assert (line.transport.sent, line.transport.writes) == ([log(1), log(2), log(3)], 1)
    await asyncio.sleep(0)
    line.connection.send(log(4))
    assert (line.transport.sent[3:], line.transport.writes) == ([log(4)], 2)


async def test_messages_that_are_gathered_leave_before_the_event_loop_waits() -> None:
    line = Line()
    line.connection.gather(log(1))
    line.connection.gather(log(2))
    await asyncio.sleep(0)
    assert (line.transport.sent, line.transport.writes) == ([log(1), log(2)], 1)


async def test_few_bytes_are_gathered() -> None:
    line = Line()
    line.connection.gather(log(1), bytes(GATHERED_MAX))
    assert line.transport.writes == 1
    for number in range(100):
        line.connection.gather(log(number), bytes(GATHERED_MAX // 10))
    assert line.transport.writes >= 10
    assert len(line.transport.sent) > 80


async def test_messages_that_are_gathered_leave_before_a_connection_closes() -> None:
    line = Line()
    line.connection.gather(log(1))
    line.connection.close()
    assert line.transport.sent == [log(1)]


async def test_messages_that_are_gathered_make_a_peer_lag_like_others() -> None:
    line = Line()
    for _ in range(LAG_MAX // GATHERED_MAX * 2):
        line.connection.gather(log(1), bytes(GATHERED_MAX))
    assert line.connection.is_lagging
    assert line.plane.lagging == [True]


# ---------------------------------------------------------------- reading slowly


async def test_who_does_not_read_lags_until_it_does() -> None:
    line = Line()
    line.tells(LAG_MAX // 2)
    assert not line.connection.is_lagging
    line.tells(LAG_MAX)
    assert line.connection.is_lagging
    line.transport.reads_all()
    assert not line.connection.is_lagging
    assert line.plane.lagging == [True, False]


async def test_a_client_that_leaves_much_unread_is_not_read_from_until_it_has_read() -> None:
    line = Line()
    line.plane.answer = bytes(1 << 20)
    questions = [m.GetStats(i, "fu-1") for i in range(1, 101)]
    line.says(*questions)
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert len(line.plane.heard) <= (UNREAD_MAX >> 20) + 1
    assert not line.transport.is_reading
    while len(line.plane.heard) < 100:
        line.transport.reads_all()
        await asyncio.sleep(0)
    assert line.plane.heard == questions, "all of them, and in order"
    line.transport.reads_all()
    await asyncio.sleep(0)
    assert line.transport.is_reading


async def test_a_container_is_read_from_in_any_case() -> None:
    line = Line(greets=False)
    line.says(m.Hello("container", m.PROTOCOL, "ta-1"))
    line.tells(UNREAD_MAX + LAG_MAX)
    line.tells(1)
    assert line.transport.is_reading
    line.says(m.Ready(1, 0.1))
    assert line.plane.heard == [m.Ready(1, 0.1)]


async def test_beyond_all_bounds_it_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()
    line.transport.waiting = UNSENT_MAX
    line.tells(1)
    line.tells(1)
    assert line.transport.is_aborted
    assert "it does not read: 512 MiB wait for it" in caplog.text


async def test_of_what_is_replaced_only_the_latest_waits() -> None:
    line = Line()
    line.tells(LAG_MAX + 1)
    sent = len(line.transport.sent)
    for _ in range(1_000):
        line.connection.send_latest(Routes, Routes([]))
    assert len(line.transport.sent) == sent
    line.transport.reads_all()
    assert line.transport.sent[sent:] == [Routes([])]
    line.connection.send_latest(Routes, Routes([]))
    assert line.transport.sent[sent + 1 :] == [Routes([])]


async def test_who_waits_for_it_to_read_hears_of_its_end() -> None:
    line = Line()
    assert await line.connection.read()
    line.tells(LAG_MAX + 1)
    waiting = asyncio.ensure_future(line.connection.read())
    await asyncio.sleep(0)
    assert not waiting.done()
    line.connection.connection_lost(None)
    assert not await waiting
    assert not await line.connection.read()


async def test_results_that_are_in_the_store_are_owed_and_not_kept() -> None:
    line, sent = Line(), list[Any]()
    deferred = DeferredResults(sent.append)
    line.tells(LAG_MAX + 1)
    for first in (0, 1, 2, 7):
        deferred.add(line.connection, m.Outputs("fc-1", [(first, 1)], [1]))
    deferred.add(line.connection, m.Outputs("fc-2", [(4, 2)], [1, 2]))
    assert not sent
    line.transport.reads_all()
    assert [(one.call_id, one.first, one.last) for one in sent] == [("fc-1", 0, 3), ("fc-1", 7, 8), ("fc-2", 4, 6)]


# ---------------------------------------------------------------- sending nonsense


async def test_a_message_that_does_not_fit_is_answered_in_its_place() -> None:
    line = Line()
    line.says(m.GetStats(5, "f" * 300), m.GetStats(6, "fu-1"))
    [failed] = line.transport.sent
    assert isinstance(failed, m.Failed)
    assert failed.request == 5
    assert "GetStats: Expected `str` of length <= 256" in failed.text
    assert line.plane.heard == [m.GetStats(6, "fu-1")]


async def test_a_container_that_sends_what_does_not_fit_is_closed() -> None:
    line = Line(greets=False)
    line.says(m.Hello("container", m.PROTOCOL, "ta-1"))
    line.says(m.Completed([(1, 0, 1)], [1], [], [], float("nan")))
    assert line.transport.is_closed
    assert not line.plane.heard


async def test_a_flood_of_bad_peers_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    limits = ConnectionLimits(1_000)
    with caplog.at_level(logging.INFO):
        for number in range(1_000):
            Line(limits, number, greets=False).connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert 0 < len(caplog.records) <= 20
    assert all(record.exc_info is None for record in caplog.records)


async def test_who_is_not_let_in_is_told_why() -> None:
    line = Line(greets=False)
    line.plane.refusal = AuthError("the token is not this server's")
    line.says(HELLO)
    [failed] = line.transport.sent
    assert isinstance(failed, m.Failed)
    assert failed.code == "auth"
    assert line.transport.is_closed


# ---------------------------------------------------------------- connections without a Hello


async def test_connections_without_a_hello_are_few_and_the_oldest_makes_room() -> None:
    limits = ConnectionLimits(descriptors_max=40)  # 20 clients, 10 without a Hello
    lines = [Line(limits, number, greets=False) for number in range(12)]
    assert [line.transport.is_closed for line in lines] == [True, True, *[False] * 10]
    for line in lines[2:]:
        line.says(HELLO)
    more = [Line(limits, number, greets=False) for number in range(20, 30)]
    assert not any(line.transport.is_closed for line in [*lines[2:], *more])


async def test_one_without_a_hello_that_leaves_makes_room() -> None:
    limits = ConnectionLimits(descriptors_max=40)
    for number in range(100):
        line = Line(limits, number, greets=False)
        line.connection.connection_lost(None)
        assert not line.transport.is_closed


async def test_who_lags_again_with_what_was_held_back_is_known_to_lag() -> None:
    line = Line()
    line.connection.send(m.Log("ap-1", "f", "ta-1", "stdout"), bytes(LAG_MAX))
    for number in range(6):
        line.connection.send_latest(number, m.Notice("ap-1", f"{number}" * 1_000_000))
    line.transport.reads_all()
    assert line.connection.is_lagging
    assert line.plane.lagging == [True, False, True]
    line.transport.reads_all()
    assert line.plane.lagging == [True, False, True, False]
    told = [message.text[0] for message in line.transport.sent if isinstance(message, m.Notice)]
    assert told == ["0", "1", "2", "3", "4", "5"]
