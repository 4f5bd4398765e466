"""A protocol cannot tell a channel of a link from a socket: each test here passes on both."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import pytest

from swell.link.connection import Channel, Link
from swell.link.frames import WINDOW, End
from swell.link.transport import ChannelTransport

MUCH = 8 * WINDOW  #: more than any buffers on the way hold


class Recorder(asyncio.Protocol):
    """Writes down what happens to it, and lets a test wait for that."""

    transport: asyncio.Transport

    def __init__(self, *, stays: bool = False) -> None:
        self.stays = stays  #: it goes on after the peer's end
        self.received = bytearray()
        self.happened: list[str] = []
        self.when_received: Callable[[], None] = lambda: None
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.when_received()
        self._news.set()

    def eof_received(self) -> bool:
        self._note("eof")
        return self.stays

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost" if exc is None else "broken")

    def _note(self, what: str) -> None:
        self.happened.append(what)
        self._news.set()

    @property
    def is_over(self) -> bool:
        return bool({"lost", "broken"} & set(self.happened))

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()


class Owner:
    """Owner of one end of a link, of which channels reach a given protocol."""

    def __init__(self, make: Callable[[Link, int], Channel]) -> None:
        self._make = make
        self.why = ""

    def linked(self, link: Link) -> None:
        pass

    def beat(self) -> None:
        pass

    def word(self, body: bytes) -> None:
        pass

    def opened(self, link: Link, number: int) -> Channel:
        return self._make(link, number)

    def lost(self, why: str) -> None:
        self.why = why


Connect = Callable[[asyncio.Protocol, asyncio.Protocol], Coroutine[Any, Any, None]]


@pytest.fixture(params=["socket", "channel"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Connect two protocols."""
    loop, links, sockets = asyncio.get_running_loop(), list[Link](), list[asyncio.Transport]()

    async def by_socket(left: asyncio.Protocol, right: asyncio.Protocol) -> None:
        for protocol, end in zip((left, right), socket.socketpair(), strict=True):
            transport, _ = await loop.create_unix_connection(lambda protocol=protocol: protocol, sock=end)
            sockets.append(transport)

    is_open = asyncio.Event()
    rights = list[asyncio.Protocol]()  # taken by the channel, so that nothing here keeps it

    def opened(link: Link, number: int) -> Channel:
        is_open.set()
        return ChannelTransport(link, rights.pop(), number)

    async def by_channel(left: asyncio.Protocol, right: asyncio.Protocol) -> None:
        rights.append(right)
        if not links:
            for role, sock in zip(End, socket.socketpair(), strict=True):
                link = Link(role, Owner(opened), timeout_s=600.0)
                await loop.create_unix_connection(lambda link=link: link, sock=sock)
                links.append(link)
        is_open.clear()
        ChannelTransport(links[End.AGENT], left)
        await is_open.wait()

    yield by_socket if request.param == "socket" else by_channel
    for link in links:
        link.end("the test is over")
    for transport in sockets:
        if not transport.is_closing():
            transport.abort()
    await asyncio.sleep(0)  # another pass of the loop, in which they are closed


async def test_bytes_arrive_in_order_in_both_directions(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    for number in range(200):
        left.transport.write(bytes([number]) * 10_000)
        right.transport.writelines([bytes([number]), bytes([number]) * 2])
    await right.until(lambda: len(right.received) == 2_000_000)
    await left.until(lambda: len(left.received) == 600)
    assert right.received == b"".join(bytes([number]) * 10_000 for number in range(200))
    assert left.received == b"".join(bytes([number]) * 3 for number in range(200))


@pytest.mark.parametrize("pauses", [False, True])
async def test_a_protocol_that_fails_loses_its_connection_and_no_other(connect: Connect, pauses: bool) -> None:
    def fail() -> None:
        raise ValueError("of the test")

    told = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
    left, right, others = Recorder(), Recorder(), (Recorder(), Recorder())
    await connect(*others)
    await connect(left, right)
    right.when_received = fail
    if pauses:
        right.transport.pause_reading()
    left.transport.write(b"x")
    right.transport.resume_reading()
    await right.until(lambda: right.is_over)
    await left.until(lambda: left.is_over)
    assert [str(error) for error in told] == ["of the test"]
    others[0].transport.write(b"y")
    await others[1].until(lambda: others[1].received == b"y")


async def test_a_slow_reader_slows_the_writer_and_nothing_is_lost(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    right.transport.pause_reading()
    left.transport.write(bytes(MUCH))
    await left.until(lambda: left.happened == ["pause"])
    assert left.transport.get_write_buffer_size() > 0
    right.transport.resume_reading()
    await right.until(lambda: len(right.received) == MUCH)
    await left.until(lambda: left.happened == ["pause", "resume"])


async def test_the_limits_of_what_may_wait_are_the_protocols(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    left.transport.set_write_buffer_limits(high=2 * MUCH)
    right.transport.pause_reading()
    left.transport.write(bytes(MUCH))
    right.transport.resume_reading()
    await right.until(lambda: len(right.received) == MUCH)
    assert left.happened == []


async def test_who_pauses_in_the_middle_gets_the_rest_later(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    seen: list[int] = []

    def pause() -> None:
        right.transport.pause_reading()
        seen.append(len(right.received))

    right.when_received = pause
    left.transport.write(bytes(MUCH))
    while len(right.received) < MUCH:
        await right.until(lambda: bool(seen))
        assert seen == [len(right.received)], "more came while nothing was to be read"
        seen.clear()
        right.transport.resume_reading()


async def test_close_sends_what_waits_then_both_ends_are_over(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    left.transport.write(bytes(MUCH))
    left.transport.close()
    left.transport.close()
    assert left.transport.is_closing()
    assert not left.is_over, "told from within close"
    await right.until(lambda: right.is_over)
    await left.until(lambda: left.is_over)
    assert len(right.received) == MUCH
    assert right.happened == ["eof", "lost"]
    assert left.happened[-1] == "lost"
    assert left.happened.count("lost") == 1


async def test_what_was_sent_before_the_end_is_read_after_it(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    right.transport.pause_reading()
    left.transport.write(b"last words")
    left.transport.close()
    await left.until(lambda: left.is_over)
    assert right.happened == []
    right.transport.resume_reading()
    await right.until(lambda: right.is_over)
    assert (bytes(right.received), right.happened) == (b"last words", ["eof", "lost"])


async def test_the_end_of_the_peer_is_told_once_to_who_stays(connect: Connect) -> None:
    left, right = Recorder(), Recorder(stays=True)
    await connect(left, right)
    left.transport.write(b"x")
    left.transport.close()
    await right.until(lambda: "eof" in right.happened)
    assert not right.transport.is_closing()
    right.transport.pause_reading()
    right.transport.resume_reading()
    right.transport.close()
    await right.until(lambda: right.is_over)
    assert right.happened == ["eof", "lost"]


@pytest.mark.parametrize("waits", [0, MUCH])
async def test_abort_ends_both_ends_at_once(connect: Connect, waits: int) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    right.transport.pause_reading()
    left.transport.write(bytes(waits))
    left.transport.abort()
    assert left.transport.is_closing()
    assert not left.is_over, "told from within abort"
    await left.until(lambda: left.is_over)
    right.transport.resume_reading()
    await right.until(lambda: right.is_over)
    assert left.happened[-1] == "lost"
    assert len(right.received) < MUCH


async def test_abort_ends_what_was_closed_and_cannot_be_sent(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    right.transport.pause_reading()
    left.transport.write(bytes(MUCH))
    left.transport.close()
    left.transport.abort()
    await left.until(lambda: left.is_over)


async def test_who_closes_does_not_wait_for_what_the_peer_still_sends(connect: Connect) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    left.transport.pause_reading()
    right.transport.write(bytes(MUCH))
    left.transport.close()
    await left.until(lambda: left.is_over)
    await right.until(lambda: right.is_over)
    assert left.received == b""


@pytest.mark.parametrize("connect", ["channel"], indirect=True)
@pytest.mark.parametrize("ends", ["close", "abort"])
async def test_nothing_keeps_a_connection_that_is_over(connect: Connect, ends: str) -> None:
    left, right = Recorder(), Recorder()
    await connect(left, right)
    getattr(left.transport, ends)()
    await left.until(lambda: left.is_over)
    await right.until(lambda: right.is_over)
    kept = [weakref.ref(left), weakref.ref(right)]
    left = right = Recorder()
    for _ in range(100):
        await asyncio.sleep(0)  # other passes of the loop, in which both ends take leave
    gc.collect()
    assert [each() for each in kept] == [None, None]
