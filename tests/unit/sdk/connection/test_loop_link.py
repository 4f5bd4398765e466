"""A link for one event loop: in company, what is sent in one pass of the loop is one write; alone, nothing waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from swell.errors import ConnectionError
from swell.sdk.connection.link import Received
from swell.sdk.connection.loop_link import ALONE_BYTES, LoopLink
from swell.wire import codec
from swell.wire.messages import Accepted, CancelCall, GetStats
from swell.wire.shelf import Shelf


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True


Connect = Callable[[], tuple[LoopLink, Transport]]


@pytest.fixture
def connected() -> Connect:
    """A function that makes a link with its transport, inside a loop."""

    def make() -> tuple[LoopLink, Transport]:
        link, transport = LoopLink(1 << 20), Transport()
        link.connection_made(transport)
        return link, transport

    return make


def frame(number: int) -> bytes:
    return codec.encode(GetStats(number, "fu-1"))


def arrive(link: LoopLink, data: bytes) -> None:
    """Have bytes come in as an event loop hands them over."""
    while data:
        room = memoryview(link.get_buffer(-1))
        count = min(len(room), len(data))
        room[:count] = data[:count]
        link.buffer_updated(count)
        data = data[count:]


async def waiting(link: LoopLink, key: str) -> asyncio.Task[Received]:
    task = asyncio.ensure_future(link.receive(link.open(key)))
    await asyncio.sleep(0)
    return task


async def test_alone_a_message_is_written_at_once(connected: Connect) -> None:
    link, transport = connected()
    link.send(GetStats(1, "fu-1"))
    link.send(GetStats(2, "fu-1"))
    assert transport.written == [frame(1), frame(2)]


async def test_where_others_wait_messages_of_one_pass_are_one_write(connected: Connect) -> None:
    link, transport = connected()
    task = await waiting(link, "fc-1")
    for number in (1, 2, 3):
        link.send(GetStats(number, "fu-1"))
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [frame(1) + frame(2) + frame(3)]
    link.send(GetStats(4, "fu-1"))
    await asyncio.sleep(0)
    assert transport.written[1:] == [frame(4)]
    task.cancel()


async def test_a_large_message_is_written_by_itself_in_its_turn(connected: Connect) -> None:
    link, transport = connected()
    task = await waiting(link, "fc-1")
    large = bytes(ALONE_BYTES)
    link.send(GetStats(1, "fu-1"))
    link.send(GetStats(2, "fu-1"), large)
    link.send(GetStats(3, "fu-1"))
    await asyncio.sleep(0)
    assert transport.written == [frame(1), codec.encode(GetStats(2, "fu-1"), large), frame(3)]
    task.cancel()


async def test_what_was_sent_before_the_link_is_shut_is_written(connected: Connect) -> None:
    link, transport = connected()
    task = await waiting(link, "fc-1")
    link.send(CancelCall("fc-1"))
    link.shut()
    assert transport.written == [codec.encode(CancelCall("fc-1"))]
    assert transport.closed
    with pytest.raises(ConnectionError):
        link.send(CancelCall("fc-1"))
    task.cancel()


async def test_one_read_wakes_all_whose_answers_it_brings(connected: Connect) -> None:
    link, _ = connected()
    tasks = [await waiting(link, f"fc-{number}") for number in range(3)]
    arrive(link, b"".join(codec.encode(Accepted(f"fc-{number}", 1)) for number in (0, 2)))
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, False, True]
    assert [task.result() for task in tasks[::2]] == [(Accepted("fc-0", 1), b""), (Accepted("fc-2", 1), b"")]
    tasks[1].cancel()


async def test_a_message_larger_than_one_read_arrives_whole(connected: Connect) -> None:
    link, _ = connected()
    payload = bytes(range(256)) * 2_000
    task = await waiting(link, "fc-1")
    arrive(link, codec.encode(Accepted("fc-1", 1), payload))
    assert await task == (Accepted("fc-1", 1), payload)


async def test_a_server_that_is_gone_fails_all_that_wait(connected: Connect) -> None:
    link, _ = connected()
    tasks = [await waiting(link, f"fc-{number}") for number in range(2)]
    link.connection_lost(None)
    for task in tasks:
        with pytest.raises(ConnectionError, match="the server is gone"):
            await task


class Elsewhere(Shelf):
    """A shelf whose blobs travel."""

    is_elsewhere = True


@pytest.mark.parametrize("is_done", [False, True])
async def test_what_was_done_aside_is_undone_once_however_late_the_cancellation(is_done: bool) -> None:
    link, threads = LoopLink(1 << 20, Elsewhere("")), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(threads)
    done: list[str] = []
    may_end = threading.Event()

    def act() -> None:
        may_end.wait()
        done.append("act")

    task = asyncio.ensure_future(link.aside(act, lambda: done.append("undo")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if is_done:
        may_end.set()
        threads.submit(lambda: None).result()  # the work is over, and this loop has not been told
        assert done == ["act"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()
    threads.submit(lambda: None).result()
    assert done == ["act", "undo"]


async def test_what_was_waited_for_is_not_undone() -> None:
    done: list[str] = []
    assert await LoopLink(1 << 20, Elsewhere("")).aside(lambda: 7, lambda: done.append("undo")) == 7
    assert done == []
