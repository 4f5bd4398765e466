"""Operations on functions: their numbers, their autoscaler, and calls by name.

This module must not know how results of spawned calls are read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, UnsetType, field

from swell.documents.calls import Spawned
from swell.documents.functions import (
    AutoscalerLayers,
    FunctionDetail,
    autoscaler_layers,
    function_detail,
    function_summary,
    own_urls,
)
from swell.documents.results import Result, StreamLine
from swell.edge.admin.api.calling import Calling
from swell.edge.admin.api.operation import ApiContext, ApiRequest, Body, Nothing, Operation, Query
from swell.edge.admin.api.target import Target, find_target
from swell.errors import ConflictError, InvalidError, NotFoundError, RequestSizeError, ResourceExhausted
from swell.model import AutoscalerChange, CallKind
from swell.names import shown_name
from swell.option_bounds import CONTAINERS, SCALEDOWN_WINDOW_S
from swell.wire.messages import AutoscalerState, GetStats, Stats, UpdateAutoscaler
from swell.wire.queries import AppDescription, DescribeApp, FunctionRow

__all__ = ["OPERATIONS"]

FUNCTION: Final = "/apps/{app}/functions/{function}"

_Least = Annotated[int, Meta(ge=CONTAINERS.least, le=CONTAINERS.most)]
_Most = Annotated[int, Meta(ge=1, le=CONTAINERS.most)]
_Window = Annotated[int, Meta(ge=SCALEDOWN_WINDOW_S.least, le=SCALEDOWN_WINDOW_S.most)]


class AutoscalerUpdate(Body, frozen=True):
    """Settings to change: a setting that is left out is kept, and null restores the platform's default."""

    min_containers: _Least | UnsetType | None = UNSET
    max_containers: _Most | UnsetType | None = UNSET
    buffer_containers: _Least | UnsetType | None = UNSET
    scaledown_window: _Window | UnsetType | None = UNSET


class VersionQuery(Query, frozen=True):
    """Which version of an app is called."""

    version: Annotated[int, Meta(ge=1, le=1 << 40, description="Call this version, whichever is live.")] | UnsetType = (
        UNSET
    )


class CallRequest(Body, frozen=True):
    """The arguments of a call."""

    args: Annotated[list[Any], Meta(description="Positional arguments.")] = field(default_factory=list)
    kwargs: Annotated[dict[str, Any], Meta(description="Arguments by name.")] = field(default_factory=dict)
    parameters: Annotated[
        dict[str, Any], Meta(description="Parameters of the instance, for a method of a class; bytes as base64.")
    ] = field(default_factory=dict)


async def get_function(request: ApiRequest[Nothing, None]) -> FunctionDetail:
    """One function or class of an app that runs: its numbers at this moment, and its autoscaler's settings."""
    context = request.context
    found, row = await _find(context, request.path)
    stats = await context.ask(Stats, partial(GetStats, function_id=row.function_id))
    state = await _update(context, row.function_id, AutoscalerChange())
    function = function_summary(row, own_urls(row, found.urls))
    return function_detail(found.app, function, stats, state)


async def update_autoscaler(request: ApiRequest[Nothing, AutoscalerUpdate]) -> AutoscalerLayers:
    """Change autoscaler settings at run time; they hold until the app is deployed again. Returns all in force."""
    body = request.body
    change = AutoscalerChange(body.min_containers, body.max_containers, body.buffer_containers, body.scaledown_window)
    _, row = await _find(request.context, request.path)
    try:
        return autoscaler_layers(await _update(request.context, row.function_id, change))
    except InvalidError as error:  # each number is valid, but not together with the others
        raise ConflictError(str(error)) from None


async def call_function(request: ApiRequest[VersionQuery, CallRequest]) -> Result:
    """Run a function of a deployed app once and wait for its result, as `remote()` does.

    The answer is 200 however the call ends, and tells how: a function that raises is no failure of this API. Closing
    the connection cancels the call. Spawn a call that takes longer than connections last.
    """
    target = await _target(request)
    if target.is_generator:
        raise ConflictError(f"{target.name} is a generator: ask for {FUNCTION}/stream instead of call")
    return await request.while_here(_calling(request, target, await request.context.link()).result())


async def stream_function(request: ApiRequest[VersionQuery, CallRequest]) -> AsyncIterator[StreamLine]:
    """Run a generator function of a deployed app once and pass on what it yields, as it comes, as lines of JSON.

    There is one line for each item; the last tells how the function ended. Closing the connection cancels the call.
    """
    target = await _target(request)
    if not target.is_generator:
        raise ConflictError(f"{target.name} is not a generator: ask for {FUNCTION}/call instead of stream")
    calling = _calling(request, target, await request.context.link())
    lines = calling.lines()
    first = await request.while_here(anext(lines))  # a refusal decides the status of the answer
    return _chained(first, lines)


async def spawn_function(request: ApiRequest[VersionQuery, CallRequest]) -> Spawned:
    """Start a function of a deployed app and return once it is accepted and written down, as `spawn()` does."""
    target = await _target(request)
    if target.is_generator:
        raise ConflictError(f"{target.name} is a generator and cannot be spawned: ask for {FUNCTION}/stream")
    calling = _calling(request, target, await request.context.link(), CallKind.SPAWN)
    await calling.spawn()
    return Spawned(call_id=calling.call_id)


async def _chained(first: StreamLine, rest: AsyncIterator[StreamLine]) -> AsyncIterator[StreamLine]:
    yield first
    async for line in rest:
        yield line


async def _target(request: ApiRequest[VersionQuery, CallRequest]) -> Target:
    version = 0 if request.query.version is UNSET else request.query.version
    path, parameters = request.path, request.body.parameters
    return await find_target(request.context, path["app"], path["function"], parameters, version=version)


def _calling(
    request: ApiRequest[VersionQuery, CallRequest], target: Target, link: Any, kind: CallKind = CallKind.REMOTE
) -> Calling:
    body, settings = request.body, request.context.settings
    return Calling(link, target, kind, body.args, body.kwargs, size_max=settings.admin_result_max)


async def _find(context: ApiContext, path: dict[str, str]) -> tuple[AppDescription, FunctionRow]:
    """Find a function of an app by its name, or a class by its own."""
    app, name = path["app"], path["function"]
    found = await context.ask(AppDescription, partial(DescribeApp, app=app))
    for row in found.functions:
        if row.name in (name, f"{name}.*"):
            return found, row
    known = ", ".join(shown_name(row.name) for row in found.functions) or "none"
    raise NotFoundError(f"{app} has no function {name!r} that runs; it has {known}")


async def _update(context: ApiContext, function_id: str, change: AutoscalerChange) -> AutoscalerState:
    return await context.ask(AutoscalerState, partial(UpdateAutoscaler, function_id=function_id, change=change))


_EXAMPLE: Final = {"args": ["World"]}
_CALL_ERRORS: Final = (NotFoundError, ConflictError, RequestSizeError, ResourceExhausted)

OPERATIONS: Final = (
    Operation("GET", FUNCTION, get_function, FunctionDetail, errors=(NotFoundError,)),
    Operation(
        "PATCH",
        f"{FUNCTION}/autoscaler",
        update_autoscaler,
        AutoscalerLayers,
        body=AutoscalerUpdate,
        example={"max_containers": 4, "scaledown_window": None},
        errors=(NotFoundError, ConflictError),
    ),
    Operation(
        "POST",
        f"{FUNCTION}/call",
        call_function,
        Result,
        query=VersionQuery,
        body=CallRequest,
        example=_EXAMPLE,
        errors=_CALL_ERRORS,
    ),
    Operation(
        "POST",
        f"{FUNCTION}/stream",
        stream_function,
        StreamLine,
        query=VersionQuery,
        body=CallRequest,
        errors=_CALL_ERRORS,
        streams=True,
    ),
    Operation(
        "POST",
        f"{FUNCTION}/spawn",
        spawn_function,
        Spawned,
        query=VersionQuery,
        body=CallRequest,
        example=_EXAMPLE,
        errors=_CALL_ERRORS,
        status=202,
    ),
)
