"""A report of a worker comes out of the pipe as it went in, whatever its size."""

from __future__ import annotations

import asyncio
import os
import threading

from swell.cli.reload.serve_protocol import (
    Created,
    Failed,
    Logged,
    Noticed,
    Opened,
    Progressed,
    Relay,
    Report,
    read_reports,
)
from swell.wire.messages import FunctionProgress, Log, Progress

LOG = Log("ap-1", "front", "ta-1", "stdout")
PROGRESS = Progress(
    "ap-1",
    [
        FunctionProgress(
            function_name="front",
            starting=1,
            running=2,
            idle=3,
            backlog=4,
            running_inputs=5,
            done=6,
            total=7,
            note="waits",
        )
    ],
)


async def read_all(fd: int) -> list[Report]:
    pipe = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), os.fdopen(fd, "rb"))
    return [report async for report in read_reports(pipe)]


async def test_reports_arrive_in_order_and_whole() -> None:
    source, said = os.pipe()
    long = "ü" * 300_000  # more than a pipe holds

    def send() -> None:
        relay = Relay(said)
        relay.send(Opened(["/a.py"]))
        relay.log(LOG, long)
        relay.progress(PROGRESS)
        relay.notice("careful")
        relay.send(Created({"front": "http://x"}))
        relay.send(Failed("no", []))
        os.close(said)

    writer = threading.Thread(target=send)
    writer.start()
    found = await read_all(source)
    writer.join()
    assert found == [
        Opened(["/a.py"]),
        Logged(LOG, long),
        Progressed(PROGRESS),
        Noticed("careful"),
        Created({"front": "http://x"}),
        Failed("no", []),
    ]


async def test_a_frame_that_breaks_off_is_the_end() -> None:
    source, said = os.pipe()
    Relay(said).notice("whole")
    os.write(said, b"\x10\x00\x00\x00half")
    os.close(said)
    assert await read_all(source) == [Noticed("whole")]


def test_nothing_is_said_where_nobody_reads() -> None:
    source, said = os.pipe()
    os.close(source)
    Relay(said).notice("hello")
    os.close(said)
