"""Operations on calls: where their inputs are, results, and cancelling. This module must not know how they are made."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Annotated, Final

from msgspec import Meta

from swell.documents.calls import CallDetail, CallList, call_detail, call_summary
from swell.documents.results import Result, ResultPage
from swell.edge.admin.api.operation import ApiContext, ApiRequest, Body, Nothing, Operation, Query
from swell.edge.admin.api.outcome import Reader
from swell.errors import NotFoundError, OutputExpiredError, from_wire
from swell.names import shown_name
from swell.wire.messages import CallDescription, CancelCall, DescribeCall, Failed, Outputs, Unwatch, Watch
from swell.wire.queries import CallReport, InspectCall
from swell.wire.stats import Observation, Observe

__all__ = ["OPERATIONS"]

RESULTS_MAX: Final = 1_000  #: results in one answer
WAIT_MAX_S: Final = 300.0


class CallQuery(Query, frozen=True):
    """Which calls."""

    app: Annotated[str, Meta(description="Only those of this app, by its name.")] = ""
    function: Annotated[str, Meta(description="Only those of this function, or method of a class.")] = ""


class ResultQuery(Query, frozen=True):
    """Which results, and how long to wait for them."""

    first: Annotated[int, Meta(ge=0, le=1 << 40, description="Index of the first input.")] = 0
    count: Annotated[int, Meta(ge=1, le=RESULTS_MAX, description="At most so many results.")] = 100
    wait_s: Annotated[
        float,
        Meta(ge=0, le=WAIT_MAX_S, description="Wait so long for all of them; then answer with those that are there."),
    ] = 0.0


class CancelRequest(Body, frozen=True):
    """How to cancel a call."""

    terminate_containers: Annotated[
        bool, Meta(description="Kill the containers that run it, too; their other inputs run again.")
    ] = False


async def list_calls(request: ApiRequest[CallQuery, None]) -> CallList:
    """Calls that go on, and the latest of those that have ended."""
    query = request.query
    seen = await request.context.ask(Observation, Observe)
    return CallList(
        calls=[
            call_summary(row)
            for row in seen.calls
            if (not query.app or row.app_name == query.app)
            and f".{shown_name(row.function_name)}".endswith(f".{query.function}" if query.function else "")
        ]
    )


async def get_call(request: ApiRequest[Nothing, None]) -> CallDetail:
    """One call and where its inputs are."""
    return await _inspect(request.context, request.path["call_id"])


async def get_results(request: ApiRequest[ResultQuery, None]) -> ResultPage:
    """The results of a spawned call that are there, by index; as often as you like, until they expire.

    A result of a call that a Python program made is not JSON, and is left out, with the reason.
    """
    return await request.while_here(_results(request.context, request.path["call_id"], request.query))


async def cancel_call(request: ApiRequest[Nothing, CancelRequest]) -> CallDetail:
    """Cancel the inputs of a call that have not ended. Changes nothing if all have."""
    call_id, context = request.path["call_id"], request.context
    await _inspect(context, call_id)  # raises if there is no such call
    link = await context.link()
    link.send(CancelCall(call_id, request.body.terminate_containers))
    return await _inspect(context, call_id)


async def _inspect(context: ApiContext, call_id: str) -> CallDetail:
    return call_detail(await context.ask(CallReport, partial(InspectCall, call_id=call_id)))


async def _results(context: ApiContext, call_id: str, query: ResultQuery) -> ResultPage:
    until = monotonic() + query.wait_s
    described = await context.ask(CallDescription, partial(DescribeCall, call_id=call_id))
    last = query.first + query.count
    if described.num_inputs is not None:
        last = min(last, described.num_inputs)
    found: dict[int, Result] = {}
    if query.first < last:
        await _watch(context, call_id, range(query.first, last), until if query.wait_s else None, found)
    results = [found[index] for index in sorted(found)]
    missing = max(0, last - query.first) - len(results)
    return ResultPage(call_id=call_id, num_inputs=described.num_inputs, results=results, missing=missing)


async def _watch(
    context: ApiContext, call_id: str, wanted: range, until: float | None, found: dict[int, Result]
) -> None:
    """Collect the results of a range: until all are there or `until` (`monotonic()`); for None, those there."""
    link = await context.link()
    reader = Reader(link.shelf, context.settings.admin_result_max)
    request = link.next_request()
    mailbox = link.open(call_id, request)
    try:
        link.send(Watch(request, call_id, wanted.start, wanted.stop, until is None))
        while len(found) < len(wanted):
            message, payload = await link.receive(mailbox, until)
            if isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            if isinstance(message, CallDescription):
                return
            if isinstance(message, Outputs):
                results = await reader.results(message, payload)
                found.update({result.index: result for result in results if result.index in wanted})
    except TimeoutError:
        return
    finally:
        link.close(mailbox)
        if link.broken is None:
            link.send(Unwatch(request, call_id))


OPERATIONS: Final = (
    Operation("GET", "/calls", list_calls, CallList, query=CallQuery),
    Operation("GET", "/calls/{call_id}", get_call, CallDetail, errors=(NotFoundError,)),
    Operation(
        "GET",
        "/calls/{call_id}/results",
        get_results,
        ResultPage,
        query=ResultQuery,
        errors=(NotFoundError, OutputExpiredError),
    ),
    Operation("POST", "/calls/{call_id}/cancel", cancel_call, CallDetail, body=CancelRequest, errors=(NotFoundError,)),
)
