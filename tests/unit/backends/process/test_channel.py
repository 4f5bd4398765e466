"""The server never waits for a template, and loses neither words nor files when the template is slow."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import msgspec
import pytest

from swell.backends.process.channel import LAUNCHES_MAX, TemplateChannel
from swell.wire.template import DATAGRAM_MAX, FILES_MAX, Exited, Kill, Launch, Reply, Request, Started

decode = msgspec.msgpack.Decoder(list[Request]).decode
encode = msgspec.msgpack.encode


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def receive(theirs: socket.socket) -> tuple[list[Request], list[int]]:
    theirs.setblocking(False)
    while True:
        try:
            data, files, _, _ = socket.recv_fds(theirs, DATAGRAM_MAX, FILES_MAX)
        except BlockingIOError:
            await asyncio.sleep(0)
        else:
            return decode(data), files


async def test_what_is_asked_in_one_turn_leaves_in_one_datagram(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    channel = TemplateChannel(ours, lambda _: None)
    channel.send(Kill("ta-1"))
    channel.send(Kill("ta-2"))
    assert await receive(theirs) == ([Kill("ta-1"), Kill("ta-2")], [])
    channel.close()


async def test_a_template_that_does_not_read_delays_nothing_and_loses_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    before = open_files()
    channel = TemplateChannel(ours, lambda _: None)
    launches = [Launch(f"ta-{n}", "unix:/s", "t" * 300, {}) for n in range(1000)]
    for launch in launches:
        channel.send(launch, [os.open(os.devnull, os.O_WRONLY), os.open(os.devnull, os.O_WRONLY)])
    for _ in range(10):
        await asyncio.sleep(0)  # the loop turns, though nobody reads
    seen: list[Request] = []
    while len(seen) < len(launches):
        requests, files = await receive(theirs)
        assert len(requests) <= LAUNCHES_MAX
        assert len(files) == 2 * len(requests)
        for fd in files:
            os.close(fd)
        seen += requests
    assert seen == launches
    assert open_files() == before
    channel.close()


async def test_closing_releases_files_that_were_never_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    before = open_files()
    channel = TemplateChannel(ours, lambda _: None)
    for number in range(500):
        channel.send(Launch(f"ta-{number}", "unix:/s", "t", {}), [os.dup(0), os.dup(0)])
    await asyncio.sleep(0)
    channel.close()
    channel.close()
    assert open_files() <= before + 2 * FILES_MAX * 16, "at most what the socket's own queue holds"


async def test_replies_that_arrived_are_heard_at_close(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    heard: list[Reply] = []
    channel = TemplateChannel(ours, heard.append)
    theirs.send(encode([Started("ta-1", 7, 7)]))
    theirs.send(encode([Exited("ta-1", -9)]))
    channel.close()
    assert heard == [Started("ta-1", 7, 7), Exited("ta-1", -9)]


async def test_sending_to_a_dead_template_is_not_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    before = open_files()
    channel = TemplateChannel(ours, lambda _: None)
    theirs.close()
    channel.send(Launch("ta-1", "unix:/s", "t", {}), [os.dup(0), os.dup(0)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert open_files() == before - 1
    channel.close()
