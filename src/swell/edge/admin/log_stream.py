"""Logs as containers write them, for a browser: server-sent events.

Each stream has a connection to the server of its own: its end tells the server that nobody follows any more. This
module must not know how lines are shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Struct
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from swell.config import Settings
from swell.edge.admin.failures import failed, refused
from swell.errors import Error, ServiceError, from_wire
from swell.names import shown_name
from swell.sdk.connection.client import Client
from swell.sdk.connection.loop_link import LoopLink
from swell.wire.messages import Done, Failed
from swell.wire.queries import LogEntry, ReadLogs

__all__ = ["LogStream", "routes"]

TAIL: Final = 200  #: entries that a stream begins with
UNREAD_MAX: Final = 2 << 20  #: characters that wait for a slow browser; older lines are skipped and counted
ENTRY_SIZE: Final = 200  #: of an entry beside its text, about
AT_ONCE_MAX: Final = 500  #: entries in one event
TOGETHER_S: Final = 0.25  #: entries within that time are sent as one event
BEAT_S: Final = 15.0  #: a comment is sent at least so often: only writing shows that a browser has left

_FRESH: Final = {"cache-control": "no-store"}
_encode = msgspec.json.Encoder().encode


class LogEvent(Struct, frozen=True):
    """Lines that a container wrote at one moment: the fields of `LogLine`, with the time as in the rest of the stream.

    The last three are former names, for pages that an older server has sent; they go with the next release.
    """

    at: float
    function_name: str
    container_id: str
    stream: str  #: "stdout", "stderr" or "system"
    text: str
    call_ids: list[str]  #: of the inputs that ran then
    function: str
    container: str
    calls: list[str]


def routes(client: Client, settings: Settings) -> list[BaseRoute]:
    """Return the route `/live/logs?app=…&function=…&container=…&call=…`."""

    async def follow(request: Request) -> Response:
        query = request.query_params
        app, container = query.get("app", ""), query.get("container", "")
        if not (app or container):
            return refused(422, "InvalidError", "the query must name an app or a container")
        if request.method == "HEAD":  # its answer would wait for the end of a stream that has none
            return Response(media_type="text/event-stream", headers=_FRESH)
        question = ReadLogs(1, app, container, query.get("function", ""), query.get("call", ""), tail=TAIL, follow=True)
        try:
            link = await LoopLink.connect(client.address, settings.token, settings.frame_max)
        except Error as error:
            return failed(error)

        async def over() -> None:  # a browser may have left before it began to read: then nothing else shuts the link
            link.shut()

        return StreamingResponse(
            LogStream(link, question).events(),
            media_type="text/event-stream",
            headers=_FRESH,
            background=BackgroundTask(over),
        )

    return [Route("/live/logs", follow)]


class LogStream:
    """Follows logs for one browser. Lines that it does not read in time are dropped: all browsers share this memory."""

    def __init__(self, link: LoopLink, question: ReadLogs) -> None:
        self._link = link
        self._question = question
        self._unread: deque[LogEvent] = deque()
        self._size = 0  # of what is unread, in characters
        self._skipped = 0  # lines
        self._news = asyncio.Event()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events: `lines`; `skipped`, with a number of lines; at the end `over`, with the reason, "" for none."""
        reading = asyncio.ensure_future(self._read())
        try:
            yield b": reading\n\n"
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await self._news.wait()
                if not self._news.is_set():
                    yield b": still here\n\n"
                    continue
                await asyncio.sleep(0 if reading.done() else TOGETHER_S)
                self._news.clear()
                while self._unread:
                    if self._skipped:
                        yield _event("skipped", self._skipped)
                        self._skipped = 0
                    yield _event("lines", self._take())
                if reading.done():
                    yield _event("over", reading.result())
                    return
        finally:
            reading.cancel()
            self._link.shut()

    def _take(self) -> list[LogEvent]:
        taken = [self._unread.popleft() for _ in range(min(AT_ONCE_MAX, len(self._unread)))]
        self._size -= sum(map(_size, taken))
        return taken

    async def _read(self) -> str:
        """Keep entries until the server has no more; return why, "" if the App has ended."""
        mailbox = self._link.open(self._question.request)
        try:
            self._link.send(self._question)
            while True:
                message, payload = await self._link.receive(mailbox)
                match message:
                    case LogEntry():
                        self._keep(message, payload)
                    case Done():
                        return ""
                    case Failed():
                        raise from_wire(message.code, message.text, message.fields)
                    case _:
                        raise ServiceError(f"the server answered with {type(message).__name__}")
        except Error as error:
            return str(error)
        finally:
            self._news.set()

    def _keep(self, entry: LogEntry, payload: bytes) -> None:
        text, name = payload.decode("utf-8", "replace").removesuffix("\n"), shown_name(entry.function_name)
        container_id, calls = entry.container_id, entry.call_ids
        self._unread.append(
            LogEvent(
                at=entry.at,
                function_name=name,
                container_id=container_id,
                stream=entry.stream,
                text=text,
                call_ids=calls,
                function=name,
                container=container_id,
                calls=calls,
            )
        )
        self._size += _size(self._unread[-1])
        while self._size > UNREAD_MAX and len(self._unread) > 1:
            oldest = self._unread.popleft()
            self._size -= _size(oldest)
            self._skipped += oldest.text.count("\n") + 1
        self._news.set()


def _size(entry: LogEvent) -> int:
    return len(entry.text) + ENTRY_SIZE


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encode(data))
