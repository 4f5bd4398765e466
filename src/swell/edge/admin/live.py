"""What the dashboard is told, every second, in JSON: everything there is, and the short past of one function.

This module must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from swell.edge.admin.failures import refused
from swell.edge.admin.history import FunctionPast, History, Moment, Quantiles
from swell.model import OutputStatus
from swell.wire.stats import CallRow, FunctionMeasures, Observation

__all__ = ["routes"]

ROWS_MAX: Final = 500  #: containers that are told one by one

_WELL: Final = frozenset((int(OutputStatus.SUCCESS), int(OutputStatus.GENERATOR_DONE)))
_FRESH: Final = {"cache-control": "no-store"}
_encode = msgspec.json.Encoder().encode


def routes(history: History) -> list[BaseRoute]:
    """Return the routes."""
    live_routes = _LiveRoutes(history)
    return [Route("/live", live_routes.stream), Route("/live/history", live_routes.past)]


class _LiveRoutes:
    def __init__(self, history: History) -> None:
        self._history = history
        self._told: tuple[Observation | None, bytes] = (None, b"")

    async def stream(self, request: Request) -> Response:
        if request.method == "HEAD":  # which would wait for the end of a stream that has none
            return Response(media_type="text/event-stream", headers=_FRESH)
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=_FRESH)

    async def _events(self) -> AsyncIterator[bytes]:
        async for observation in self._history.watch():
            if self._told[0] is not observation:  # else another browser has asked for the same
                self._told = (observation, b"data: " + _encode(self._all(observation)) + b"\n\n")
            yield self._told[1]

    async def past(self, request: Request) -> Response:
        function_id = request.query_params.get("function", "")
        past = self._history.functions.get(function_id)
        if past is None:
            return refused(404, "NotFoundError", f"function {function_id!r:.200} is not there")
        return Response(_encode(_past(past)), media_type="application/json", headers=_FRESH)

    def _all(self, seen: Observation) -> dict[str, Any]:
        return {
            "at": seen.at,
            "server": {
                "version": seen.version,
                "started_at": seen.started_at,
                "address": seen.address,
                "pid": seen.pid,
            },
            "nodes": [asdict(node) for node in seen.nodes],
            "apps": [
                {
                    "app_id": app.app_id,
                    "name": app.name,
                    "state": app.state,
                    "version": app.version,
                    "created_at": app.created_at,
                }
                for app in seen.apps
            ],
            "functions": [self._function(each) for each in seen.functions],
            "containers": {"total": len(seen.containers), "rows": _containers(seen)},
            "calls": [_call(call) for call in seen.calls],
        }

    def _function(self, each: FunctionMeasures) -> dict[str, Any]:
        row = each.row
        past = self._history.functions.get(row.function_id)
        moment = past.moments[-1] if past is not None and past.moments else None
        return {
            "id": row.function_id,
            "app_id": each.app_id,
            "app": each.app_name,
            "name": row.name.removesuffix(".*"),
            "version": row.version,
            "is_retired": row.is_retired,
            "plan": row.plan,
            "requested": each.requested,
            "observed": each.observed,
            "starting": row.starting,
            "busy": row.busy,
            "idle": row.idle,
            "pending": row.pending,
            "running": row.running,
            "accepted": each.counted.accepted,
            "done": row.done,
            "failed": sum(count for status, count in each.counted.ended.items() if status not in _WELL),
            "reason": row.reason,
            "held_back": row.held_back,
            "settings": asdict(row.settings),
            "static": asdict(each.static),
            "override": asdict(each.override),
            "url": each.url,
            "schedule": row.schedule,
            "next_run": row.next_run,
            "wait": _quantiles(None if moment is None else moment.wait),
            "run": _quantiles(None if moment is None else moment.run),
            "rate": 0.0 if moment is None else moment.rate,
        }


def _quantiles(found: Quantiles | None) -> dict[str, float] | None:
    return None if found is None else found._asdict()


def _containers(seen: Observation) -> list[dict[str, Any]]:
    ids = {(each.app_id, each.row.name): each.row.function_id for each in seen.functions}
    return [
        {
            "id": row.container_id,
            "app": row.app_name,
            "function": row.function_name.removesuffix(".*"),
            "function_id": ids.get((row.app_id, row.function_name), ""),
            "state": row.state,
            "version": row.version,
            "requested_at": row.requested_at,
            "ready_at": row.ready_at,
            "executing": row.running,
            "served": row.served,
        }
        for row in seen.containers[:ROWS_MAX]
    ]


def _call(row: CallRow) -> dict[str, Any]:
    app, _, function = row.function.rpartition(".")
    state = "ended" if row.ended_at is not None else "running" if row.running or row.done else "pending"
    return {
        "id": row.call_id,
        "app": app,
        "function": function,
        "kind": row.kind,
        "state": state,
        "pending": row.pending,
        "running": row.running,
        "done": row.done,
        "total": row.total,
        "opened_at": row.opened_at,
        "ended_at": row.ended_at,
    }


def _past(past: FunctionPast) -> dict[str, Any]:
    moments = list(past.moments)
    told: dict[str, Any] = {
        name: [getattr(moment, name) for moment in moments]
        for name in ("at", "pending", "running", "plan", "requested", "observed", "rate")
    }
    for kind in ("wait", "run"):
        for share in Quantiles._fields:
            told[f"{kind}_{share}"] = [_share(moment, kind, share) for moment in moments]
    told["decisions"] = [asdict(decision) for decision in past.decisions]
    return told


def _share(moment: Moment, kind: str, share: str) -> float | None:
    found: Quantiles | None = getattr(moment, kind)
    return None if found is None else getattr(found, share)
