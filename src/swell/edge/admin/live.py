"""The dashboard's stream: once a second a snapshot of everything, in JSON; and the short past of one function.

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

from swell.documents.apps import app_summary
from swell.documents.calls import call
from swell.documents.containers import container_summary
from swell.documents.document import plain, seconds
from swell.documents.functions import function_live
from swell.documents.server import node, refused_machines, server
from swell.edge.admin import former
from swell.edge.admin.failures import refused
from swell.edge.admin.history import FunctionPast, History, Quantiles, Sample
from swell.wire.stats import FunctionMeasures, Observation

__all__ = ["routes"]

_FRESH: Final = {"cache-control": "no-store"}
_encode = msgspec.json.Encoder().encode


def routes(history: History) -> list[BaseRoute]:
    """Return the routes."""
    live_routes = _LiveRoutes(history)
    return [Route("/live", live_routes.stream), Route("/live/history", live_routes.past)]


class _LiveRoutes:
    def __init__(self, history: History) -> None:
        self._history = history
        self._sent: tuple[Observation | None, bytes] = (None, b"")

    async def stream(self, request: Request) -> Response:
        if request.method == "HEAD":  # its answer would wait for the end of a stream that has none
            return Response(media_type="text/event-stream", headers=_FRESH)
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=_FRESH)

    async def _events(self) -> AsyncIterator[bytes]:
        async for observation in self._history.watch():
            if self._sent[0] is not observation:  # else another browser has had it encoded already
                self._sent = (observation, b"data: " + _encode(self._snapshot(observation)) + b"\n\n")
            yield self._sent[1]

    async def past(self, request: Request) -> Response:
        function_id = request.query_params.get("function", "")
        past = self._history.functions.get(function_id)
        if past is None:
            return refused(404, "NotFoundError", f"function {function_id!r:.200} is not there")
        return Response(_encode(_past(past)), media_type="application/json", headers=_FRESH)

    def _snapshot(self, seen: Observation) -> dict[str, Any]:
        return {
            "at": seen.at,
            "server": plain(server(seen), seconds),
            "nodes": [plain(node(row), seconds) for row in seen.nodes],
            "refused_nodes": [plain(each, seconds) for each in refused_machines(seen.refused_nodes)],
            "apps": [plain(app_summary(row), seconds) for row in seen.apps],
            "functions": [self._function(each) for each in seen.functions],
            "containers": {"total": seen.containers_total, "rows": _containers(seen)},
            "calls": [former.call(plain(call(row), seconds)) for row in seen.calls],
        }

    def _function(self, seen: FunctionMeasures) -> dict[str, Any]:
        past = self._history.functions.get(seen.row.function_id)
        latest = past.samples[-1] if past is not None and past.samples else None
        live = function_live(
            seen,
            rate=0.0 if latest is None else latest.rate,
            wait=None if latest is None else _quantiles(latest.wait),
            run=None if latest is None else _quantiles(latest.run),
        )
        return former.function(plain(live, seconds))


def _quantiles(found: Quantiles | None) -> dict[str, float] | None:
    return None if found is None else found._asdict()


def _containers(seen: Observation) -> list[dict[str, Any]]:
    ids = {(each.app_id, each.row.name): each.row.function_id for each in seen.functions}
    return [
        former.container(plain(container_summary(row), seconds))
        | {"function_id": ids.get((row.app_id, row.function_name), "")}
        for row in seen.containers
    ]


def _past(past: FunctionPast) -> dict[str, Any]:
    samples = list(past.samples)
    columns: dict[str, Any] = {
        name: [getattr(sample, name) for sample in samples]
        for name in ("at", "pending", "running", "plan", "requested", "observed", "rate")
    }
    for kind in ("wait", "run"):
        for share in Quantiles._fields:
            columns[f"{kind}_{share}"] = [_share(sample, kind, share) for sample in samples]
    columns["decisions"] = [asdict(decision) for decision in past.decisions]
    return columns


def _share(sample: Sample, kind: str, share: str) -> float | None:
    found: Quantiles | None = getattr(sample, kind)
    return None if found is None else getattr(found, share)
