"""Operations on apps and their logs. This module must not know how functions are called."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from swell.documents.apps import AppDetail, AppList, app_detail, app_summary
from swell.documents.document import Moment
from swell.documents.logs import LogLine, LogLines, log_lines
from swell.edge.admin.api.operation import ApiRequest, Nothing, Operation, Query
from swell.errors import InvalidError, NotFoundError, ServiceError, from_wire
from swell.wire import queries
from swell.wire.messages import Done, Failed
from swell.wire.queries import AppDescription, DescribeApp, ListApps, LogEntry, ReadLogs

__all__ = ["OPERATIONS", "LatestLines"]

LINES_MAX: Final = 10_000

_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class LogQuery(Query, frozen=True):
    """Which lines of a log."""

    tail: Annotated[
        int,
        Meta(
            ge=1,
            le=LINES_MAX,
            description="At most so many, the latest; fewer if they have more than `admin_result_max` characters.",
        ),
    ] = 100
    function: Annotated[str, Meta(description="Only those of this function.")] = ""
    container: Annotated[str, Meta(description="Only those of this container.")] = ""
    call: Annotated[str, Meta(description="Only those written while this call ran.")] = ""
    stream: Annotated[Literal["", "stdout", "stderr", "system"], Meta(description="Only this stream.")] = ""
    search: Annotated[str, Meta(description="Only lines with this text in them.")] = ""
    since: Annotated[_Time, Meta(description="Not before this time.")] | UnsetType = UNSET
    until: Annotated[_Time, Meta(description="Not after this time.")] | UnsetType = UNSET


async def list_apps(request: ApiRequest[Nothing, None]) -> AppList:
    """Apps that run, and durable ones that were stopped."""
    found = await request.context.ask(queries.AppList, ListApps)
    return AppList(apps=[app_summary(row) for row in found.apps])


async def get_app(request: ApiRequest[Nothing, None]) -> AppDetail:
    """One app, by its name or id, with its functions."""
    return app_detail(await request.context.ask(AppDescription, partial(DescribeApp, app=request.path["app"])))


async def get_logs(request: ApiRequest[LogQuery, None]) -> LogLines:
    """The latest lines that an app's containers wrote."""
    query = request.query
    latest = LatestLines(query.tail, request.context.settings.admin_result_max)
    link = await request.context.link()
    number = link.next_request()
    mailbox = link.open(number)
    try:
        link.send(
            ReadLogs(
                request=number,
                app=request.path["app"],
                container_id=query.container,
                function=query.function,
                call_id=query.call,
                stream=query.stream,
                search=query.search,
                since=_seconds("since", query.since),
                until=_seconds("until", query.until),
                tail=query.tail,
            )
        )
        while True:
            message, payload = await link.receive(mailbox)
            if isinstance(message, LogEntry):
                latest.add(log_lines(message, payload))
            elif isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            elif isinstance(message, Done):
                return LogLines(lines=list(latest.lines))
            else:
                raise ServiceError(f"the server answered with {type(message).__name__}")
    finally:
        link.close(mailbox)


class LatestLines:
    """The latest lines of those that are added.

    Args:
        count_max: At most so many lines.
        size_max: At most so many characters in all; one line is kept in any case.
    """

    def __init__(self, count_max: int, size_max: int) -> None:
        self.lines: deque[LogLine] = deque()
        self._count_max = count_max
        self._size_max = size_max
        self._size = 0

    def add(self, lines: Iterable[LogLine]) -> None:
        """Add lines; drop those that are no longer among the latest."""
        for line in lines:
            self.lines.append(line)
            self._size += len(line.text)
        while len(self.lines) > self._count_max or (self._size > self._size_max and len(self.lines) > 1):
            self._size -= len(self.lines.popleft().text)


def _seconds(name: str, text: str | UnsetType) -> float | None:
    """Parse a time of the query; return seconds since the epoch."""
    if text is UNSET:
        return None
    try:
        return msgspec.convert(text, Moment).timestamp()
    except msgspec.ValidationError:
        raise InvalidError(f"{name} = {text!r:.100} must be a time with its zone, as in 2026-05-01T14:03:59Z") from None


OPERATIONS: Final = (
    Operation("GET", "/apps", list_apps, AppList),
    Operation("GET", "/apps/{app}", get_app, AppDetail, errors=(NotFoundError,)),
    Operation("GET", "/apps/{app}/logs", get_logs, LogLines, query=LogQuery, errors=(NotFoundError,)),
)
