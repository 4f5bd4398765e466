"""Operations about apps and what they have written. This module must not know how functions are called."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from swell.edge.admin.api.operation import ApiRequest, Nothing, Operation, Query
from swell.edge.admin.api.schemas import (
    AppDetail,
    AppList,
    AppSummary,
    AutoscalerLayer,
    FunctionSummary,
    LogLine,
    LogLines,
    Moment,
    Version,
    moment,
)
from swell.errors import InvalidError, NotFoundError, ServiceError, from_wire
from swell.model import AutoscalerSettings
from swell.wire import queries
from swell.wire.messages import Done, Failed
from swell.wire.queries import AppDescription, AppRow, DescribeApp, FunctionRow, ListApps, LogEntry, ReadLogs

__all__ = ["OPERATIONS", "LatestLines", "function_summary", "layer"]

LINES_MAX: Final = 10_000

_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class LogQuery(Query, frozen=True):
    """Which lines of a log."""

    tail: Annotated[
        int,
        Meta(
            ge=1,
            le=LINES_MAX,
            description="Only so many, the latest; fewer if they have more than `admin_result_max` characters.",
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
    """Apps that run, and lasting ones that were stopped."""
    found = await request.context.ask(queries.AppList, ListApps)
    return AppList([_summary(row) for row in found.apps])


async def get_app(request: ApiRequest[Nothing, None]) -> AppDetail:
    """One app, by its name or id, with its functions."""
    found = await request.context.ask(AppDescription, partial(DescribeApp, app=request.path["app"]))
    live = found.live and Version(
        found.live.version,
        moment(found.live.deployed_at),
        found.live.provenance.deployed_by,
        found.live.provenance.commit,
        found.live.tag,
    )
    functions = [function_summary(row, found.urls) for row in found.functions]
    return AppDetail(_summary(found.app), live, found.tags, functions)


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
                number,
                request.path["app"],
                query.container,
                query.function,
                query.call,
                query.stream,
                query.search,
                _seconds("since", query.since),
                _seconds("until", query.until),
                query.tail,
            )
        )
        while True:
            message, payload = await link.receive(mailbox)
            if isinstance(message, LogEntry):
                latest.add(_lines(message, payload))
            elif isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            elif isinstance(message, Done):
                return LogLines(list(latest.lines))
            else:
                raise ServiceError(f"the server answered with {type(message).__name__}")
    finally:
        link.close(mailbox)


class LatestLines:
    """The latest lines of those that are added.

    Args:
        count_max: how many are kept.
        size_max: characters that they may have together; one line is kept in any case.
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
    """Return a time of the query in seconds since the epoch."""
    if text is UNSET:
        return None
    try:
        return msgspec.convert(text, Moment).timestamp()
    except msgspec.ValidationError:
        raise InvalidError(f"{name} = {text!r:.100} must be a time with its zone, as in 2026-05-01T14:03:59Z") from None


def _lines(entry: LogEntry, payload: bytes) -> list[LogLine]:
    text = payload.decode("utf-8", "replace").removesuffix("\n")
    at, name = moment(entry.at), entry.function_name.removesuffix(".*")
    return [LogLine(at, name, entry.container_id, entry.stream, line, entry.call_ids) for line in text.split("\n")]


def _summary(row: AppRow) -> AppSummary:
    return AppSummary(
        row.app_id,
        row.name,
        row.state,
        row.version,
        row.containers,
        row.pending,
        row.running,
        moment(row.created_at),
        moment(row.stopped_at),
    )


def function_summary(row: FunctionRow, urls: dict[str, str]) -> FunctionSummary:
    """Return a row of the server as the API shows it, with those of an app's URLs that are its own."""
    name = row.name.removesuffix(".*")
    own = [url for owner, url in urls.items() if owner == name or owner.startswith(f"{name}.")]
    return FunctionSummary(
        name=name,
        function_id=row.function_id,
        version=row.version,
        settings=layer(row.settings),
        plan=row.plan,
        reason=row.reason,
        held_back=row.held_back,
        starting=row.starting,
        busy=row.busy,
        idle=row.idle,
        pending=row.pending,
        running=row.running,
        done=row.done,
        schedule=row.schedule,
        next_run=moment(row.next_run),
        is_retired=row.is_retired,
        web_urls=own,
    )


def layer(settings: AutoscalerSettings) -> AutoscalerLayer:
    """Return settings as the API shows them; the server's 0 for "no bound" is null."""
    return AutoscalerLayer(
        settings.min_containers,
        settings.max_containers or None,
        settings.buffer_containers,
        settings.scaledown_window,
    )


OPERATIONS: Final = (
    Operation("GET", "/apps", list_apps, AppList),
    Operation("GET", "/apps/{app}", get_app, AppDetail, errors=(NotFoundError,)),
    Operation("GET", "/apps/{app}/logs", get_logs, LogLines, query=LogQuery, errors=(NotFoundError,)),
)
