"""The end of a link: who is told what, in which order, and what happens after it; time is an argument here."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

from swell.link import connection
from swell.link.connection import Channel, Link
from swell.link.frames import WORD_MAX, End, Kind, LinkError

HEADER = struct.Struct("<IIB")


def frame(kind: Kind, channel: int, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), channel, kind) + body


class Stream(asyncio.Transport):
    """A stream to a peer that reads what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True


class Owner:
    """Owner of a link, and of its channels: writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.on_word: Callable[[bytes], None] = lambda body: None

    def linked(self, link: Link) -> None:
        self.told.append("linked")

    def beat(self) -> None:
        self.told.append("beat")

    def word(self, body: bytes) -> None:
        self.told.append(body)
        self.on_word(body)

    def opened(self, link: Link, number: int) -> Channel:
        return Ear(self, number)

    def lost(self, why: str) -> None:
        self.told.append(("lost", why))


class Ear:
    """Owner of a channel."""

    def __init__(self, owner: Owner, name: object) -> None:
        self.owner, self.name = owner, name

    def received(self, data: bytes) -> None:
        self.owner.told.append((self.name, data))

    def finished(self) -> None:
        self.owner.told.append((self.name, "finished"))

    def lost(self, why: str) -> None:
        self.owner.told.append((self.name, "lost"))

    def flushed(self) -> None:
        self.owner.told.append((self.name, "flushed"))


class Clock:
    """What the link takes for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(connection, "_now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def start(end: End = End.SERVER) -> tuple[Link, Owner, Stream]:
    owner, stream = Owner(), Stream()
    link = Link(end, owner, timeout_s=5.0)
    link.connection_made(stream)
    assert owner.told.pop() == "linked"
    return link, owner, stream


def receive(link: Link, data: bytes) -> None:
    """Let bytes come over the stream."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))


async def test_all_channels_are_told_of_the_end_then_the_owner_once() -> None:
    link, owner, _stream = start()
    receive(link, frame(Kind.OPEN, 2) + frame(Kind.OPEN, 4))
    link.connection_lost(None)
    link.connection_lost(None)
    link.end("again")
    assert owner.told == [(2, "lost"), (4, "lost"), ("lost", "the connection ended")]


@pytest.mark.parametrize("end", End)
async def test_a_peer_that_breaks_the_protocol_is_lost_with_the_reason(end: End) -> None:
    link, owner, stream = start(end)
    receive(link, b"GET / HTTP/1.1\r\n\r\n")
    ((what, why),) = owner.told
    assert what == "lost"
    assert "broke the protocol" in why
    assert stream.is_aborted


async def test_an_owner_may_refuse_a_word_and_hears_none_after_it() -> None:
    link, owner, _ = start()

    def refuse(body: bytes) -> None:
        raise LinkError("not now")

    owner.on_word = refuse
    receive(link, frame(Kind.WORD, 0, b"first") + frame(Kind.WORD, 0, b"second"))
    assert owner.told == [b"first", ("lost", "the peer broke the protocol: not now")]


async def test_nothing_is_passed_on_after_a_word_that_ended_the_link() -> None:
    link, owner, _ = start()
    owner.on_word = lambda body: link.end("enough")
    receive(link, frame(Kind.WORD, 0, b"first") + frame(Kind.WORD, 0, b"second"))
    receive(link, frame(Kind.WORD, 0, b"third"))
    assert owner.told == [b"first", ("lost", "enough")]


async def test_a_peer_that_reads_no_words_is_lost_and_not_from_within_a_send() -> None:
    link, owner, stream = start()
    link.pause_writing()
    for _ in range(70):
        link.send_word(bytes(WORD_MAX))
    assert owner.told == []
    await asyncio.sleep(0)
    assert owner.told == [("lost", "it does not read what it is told")]
    assert not stream.written


async def test_only_channels_of_which_something_was_sent_are_looked_at() -> None:
    link, owner, _ = start()
    numbers = [link.open(Ear(owner, name)) for name in "abc"]
    for number in numbers:
        link.watch(number)
    await asyncio.sleep(0)
    link.send(numbers[1], b"x")
    await asyncio.sleep(0)
    assert owner.told == [("b", "flushed")]


async def test_a_link_that_its_owner_does_not_want_is_over_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, stream = Owner(), Stream()
    monkeypatch.setattr(owner, "linked", lambda link: link.end("too late"))
    link = Link(End.SERVER, owner, timeout_s=math.inf)
    link.connection_made(stream)
    assert stream.is_aborted
    assert owner.told == [("lost", "too late")]
    assert link._timer is None, "it would give signs of life for ever"


async def test_silence_ends_the_link(clock: Clock) -> None:
    link, owner, _ = start()
    for _ in range(5):
        clock.now += 1.0
        link.beat()
    assert owner.told == ["beat"] * 5
    clock.now += 1.0
    link.beat()
    assert owner.told[5:] == [("lost", "no sign of life for 5 s")]


async def test_silence_is_looked_for_when_it_has_lasted_too_long(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay, *_: delays.append(delay))
    link, _, _ = start()
    for silent_s in (1.0, 4.3, 5.0):
        clock.now = 1000.0 + silent_s
        link.beat()
    assert delays == pytest.approx([1.0, 1.0, 0.7, 0.0], abs=0.02)


async def test_a_server_that_was_stopped_reads_what_came_meanwhile(clock: Clock) -> None:
    link, owner, _ = start(End.SERVER)
    clock.now += 60.0
    link.beat()
    receive(link, frame(Kind.WORD, 0, b"I am here"))
    assert owner.told == ["beat", b"I am here"]


@pytest.mark.parametrize("first", ["timer", "data"])
async def test_an_agent_that_was_stopped_does_nothing_more(clock: Clock, first: str) -> None:
    link, owner, _ = start(End.AGENT)
    clock.now += 60.0
    if first == "timer":
        link.beat()
    receive(link, frame(Kind.WORD, 0, b"launch"))
    assert owner.told == [("lost", "this process was stopped for 60.0 s")]
