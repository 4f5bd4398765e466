"""A log that is followed by a browser which does not read: what is kept for it has a bound, and what is not is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from swell.edge.admin.log_stream import UNREAD_MAX, LogStream
from swell.wire.messages import Done
from swell.wire.queries import LogEntry, ReadLogs

ENTRIES = 50_000
TEXT = b"x" * 1_000 + b"\n"


class Link:
    """The connection to a server that has much to tell at once."""

    def __init__(self) -> None:
        self._left = ENTRIES
        self.all_taken = asyncio.Event()

    def open(self, request: int) -> int:
        return request

    def send(self, message: Any) -> None: ...

    def shut(self) -> None: ...

    async def receive(self, _box: int) -> tuple[Any, bytes]:
        if not self._left:
            self.all_taken.set()
            return Done(1), b""
        self._left -= 1
        return LogEntry(request=1, at=0.0, app_id="ap-1", function_name="f", container_id="ta-1", stream="stdout"), TEXT


async def test_what_a_reader_does_not_read_is_skipped_and_counted() -> None:
    link: Any = Link()
    events = LogStream(link, ReadLogs(1, "app")).events()
    assert await anext(events) == b": reading\n\n"
    size, lines, skipped = 0, 0, 0
    async for event in events:  # the first comes when all has been sent: nothing here makes the link wait
        assert link.all_taken.is_set()
        name, _, data = event.decode().partition("\ndata: ")
        size += len(event)
        if name == "event: lines":
            lines += len(json.loads(data))
        elif name == "event: skipped":
            skipped += json.loads(data)
    assert lines + skipped == ENTRIES
    assert 0 < size < 2 * UNREAD_MAX
