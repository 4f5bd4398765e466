"""Frames of a container: whole, in order, whoever speaks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from swell.errors import InvalidError
from swell.runner.channel import Channel, connect
from swell.wire import codec
from swell.wire.messages import Completed, Drain, Leaving, Returned


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket, socket.socket]]:
    data, theirs = socket.socketpair()
    control, other = socket.socketpair()
    yield Channel(theirs, other, 1 << 20), data, control
    for connection in (data, theirs, control, other):
        connection.close()


Ends = tuple[Channel, socket.socket, socket.socket]


def test_frames_arrive_however_they_are_cut(ends: Ends) -> None:
    channel, _, control = ends
    frame = codec.encode(Drain(3.0), b"payload")
    received: list[object] = []
    for i in range(len(frame)):
        control.sendall(frame[i : i + 1])
        received += channel.control.receive() or []
    assert received == [(Drain(3.0), b"payload")]


def test_end_of_stream_is_none(ends: Ends) -> None:
    channel, data, _ = ends
    data.shutdown(socket.SHUT_WR)
    assert channel.data.receive() is None


def test_stop_reading_ends_the_stream_after_what_has_arrived(ends: Ends) -> None:
    channel, data, _ = ends
    data.sendall(codec.encode(Drain(1.0)))
    channel.stop_reading()
    assert channel.data.receive() == [(Drain(1.0), b"")]
    assert channel.data.receive() is None
    channel.send(Leaving())  # the other direction stays open
    assert data.recv(100) == codec.encode(Leaving())


def test_taking_and_sending_are_one_step(ends: Ends) -> None:
    channel, data, _ = ends
    waiting = [(Completed([(1, i, 1)], [0]), b"") for i in range(200)]
    lock = threading.Lock()

    def take() -> tuple[Completed, bytes] | None:
        with lock:
            return waiting.pop(0) if waiting else None

    threads = [threading.Thread(target=lambda: [channel.flush(take) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    decoder, seen = codec.for_server(1 << 20), list[int]()
    while len(seen) < 200:
        for message, _ in decoder.feed(data.recv(1 << 16)):
            assert isinstance(message, Completed)
            seen.append(message.parts[0][1])
    for thread in threads:
        thread.join()
    assert seen == list(range(200))


def test_flush_sends_what_follows_even_if_nothing_waits(ends: Ends) -> None:
    channel, data, _ = ends
    channel.flush(lambda: None, Returned(1, 2))
    assert data.recv(100) == codec.encode(Returned(1, 2))


@pytest.mark.parametrize("address", ["", "unix:", "/path", "tcp:host:1"])
def test_address_must_be_a_unix_socket(address: str) -> None:
    with pytest.raises(InvalidError, match="not of the form unix:/path"):
        connect(address)
