"""Yielded values leave soon, in order, and not too many ahead of their consumer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from swell.errors import InvalidError, SerializationError
from swell.runner import generators
from swell.runner.channel import Channel
from swell.runner.generators import AHEAD_MAX, DelayedFlush, Stream, check_generator, values_of
from swell.wire import codec
from swell.wire.messages import Yielded


class Wire:
    """A channel whose other end is in our hands."""

    def __init__(self, frame_max: int = 8 << 20) -> None:
        self.ours, theirs = socket.socketpair()
        self.control, other = socket.socketpair()
        self.channel = Channel(theirs, other, frame_max)
        self._decoder = codec.for_server(64 << 20)

    def read(self) -> list[tuple[Yielded, bytes]]:
        """Return what has arrived."""
        frames: list[tuple[Yielded, bytes]] = []
        while True:
            try:
                data = self.ours.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            for message, payload in self._decoder.feed(data):
                assert isinstance(message, Yielded)
                frames.append((message, payload))

    def close(self) -> None:
        for connection in (self.ours, self.control, self.channel.data.connection, self.channel.control.connection):
            connection.close()


class NeverLate(DelayedFlush):
    """Remembers what it should flush."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[Stream] = []

    def arm(self, stream: Stream) -> None:
        self.streams.append(stream)


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves does so because there is much of it, not because this machine is slow."""
    monkeypatch.setattr(generators, "perf_counter", lambda: 1_000.0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def test_first_value_leaves_at_once_the_next_ones_together(wire: Wire) -> None:
    late = NeverLate()
    stream = Stream(wire.channel, late, 7, 3)
    stream.put(b"one")
    assert wire.read() == [(Yielded(7, 3, [3]), b"one")]
    for _ in range(63):
        stream.put(b"xy")
    assert wire.read() == []
    assert late.streams == [stream]
    stream.flush()
    ((message, data),) = wire.read()
    assert (len(message.ends), data) == (63, b"xy" * 63)
    assert stream.count == 64
    stream.flush()
    assert wire.read() == []


def test_a_full_message_leaves_without_waiting(wire: Wire) -> None:
    stream = Stream(wire.channel, NeverLate(), 1, 0)
    for _ in range(1 + 64):
        stream.put(b"x")
    assert sum(len(message.ends) for message, _ in wire.read()) == 65


def test_many_bytes_leave_without_waiting(wire: Wire) -> None:
    stream = Stream(wire.channel, NeverLate(), 1, 0)
    wire.ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    wire.channel.data.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    stream.put(b"x")
    for _ in range(11):
        stream.put(b"y" * 100_000)
    assert sum(len(message.ends) for message, _ in wire.read()) == 12


def test_room_ends_with_the_bytes_too_and_comes_back(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    monkeypatch.setattr("swell.runner.generators.AHEAD_BYTES_MAX", 1_000)
    stream = Stream(wire.channel, NeverLate(), 1, 0)
    for _ in range(3):
        assert stream.has_room
        stream.put(b"x" * 400)
    assert not stream.has_room
    stream.acknowledge(0)
    assert not stream.has_room
    stream.acknowledge(1)
    assert stream.has_room
    stream.acknowledge(3)
    stream.acknowledge(2)  # late
    stream.put(b"x" * 999)
    assert stream.has_room


def test_room_ends_and_comes_back(wire: Wire) -> None:
    stream = Stream(wire.channel, NeverLate(), 1, 0)
    for _ in range(AHEAD_MAX):
        assert stream.has_room
        stream.put(b"")
    assert not stream.has_room
    stream.wait_for_room(lambda: True)  # a cancelled producer does not wait
    stream.acknowledge(1)
    assert stream.has_room
    stream.acknowledge(0)  # an old word changes nothing
    assert stream.has_room
    stream.wait_for_room(lambda: False)


def test_values_that_fit_no_message_are_refused() -> None:
    wire = Wire(frame_max=1000)
    stream = Stream(wire.channel, NeverLate(), 1, 0)
    with pytest.raises(SerializationError, match="501 bytes, over the limit of 500"):
        stream.put(b"x" * 501)
    stream.put(b"x" * 500)
    wire.close()


def test_what_counts_as_a_generator() -> None:
    assert list(values_of((i for i in range(3)), "f")) == [0, 1, 2]
    assert list(values_of(iter([1]), "f")) == [1]
    for value in ([1], None, "text"):
        with pytest.raises(
            InvalidError, match=f"f is declared to be a generator, but returned a {type(value).__name__}"
        ):
            values_of(value, "f")
    with pytest.raises(InvalidError, match="the function is declared"):
        check_generator((i for i in range(3)), "", "__anext__")
