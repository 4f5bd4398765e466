"""Numbers of functions, nodes and calls at one moment, for dashboards and metrics.

Nothing here changes anything. This module must not know who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import inf

from swell.engine.state.call import Call
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import CallHistory
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.engine.views.routes import urls_by_function
from swell.engine.views.snapshot import function_row
from swell.wire.stats import CallRow, DecisionRow, FunctionMeasures, NodeRow, RetiredMeasures

__all__ = ["StatsView"]

CALLS_MAX = 100


class StatsView:
    """Puts the state into numbers."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def nodes(self) -> list[NodeRow]:
        """Describe the machines."""
        return [_node_row(known) for known in self._state.nodes.values()]

    def functions(self, since: float) -> list[FunctionMeasures]:
        """Describe all functions, with the decisions on their size after a moment."""
        urls = urls_by_function(self._state)
        return [
            _measures(pool, since, urls.get(pool.id, []))
            for app in self._state.apps.values()
            for pool in app.pools.values()
        ]

    def retired(self) -> list[RetiredMeasures]:
        """Return what was counted of pools that are gone."""
        return [
            RetiredMeasures(app_name, name, retired.counted(retired.accepted))
            for (app_name, name), retired in self._state.retired_metrics.items()
        ]

    def calls(self) -> list[CallRow]:
        """Describe the latest calls: those that go on, then those that have ended."""
        return list(islice(self._calls(), CALLS_MAX))

    def _calls(self) -> Iterator[CallRow]:
        for call in reversed(self._state.calls.values()):
            yield _open_row(call)
        for history in self._state.histories.calls():
            yield _ended_row(history)


def _node_row(known: KnownNode) -> NodeRow:
    node = known.node
    return NodeRow(
        name=node.name,
        cores=node.cpu,
        busy_cores=known.busy_cores,
        cpu_used=known.cpu_used,
        memory_bytes=node.memory_bytes,
        memory_used_bytes=known.memory_used,
        gpus=len(node.gpus),
        gpus_used=len(known.gpus_used),
        containers=len(known.containers),
        state=known.shown_as,
        drain_until=known.drain_until if known.drain_until < inf else None,
        started=known.started,
        lost=known.lost,
    )


def _measures(pool: Pool, since: float, urls: list[str]) -> FunctionMeasures:
    return FunctionMeasures(
        app_id=pool.app.id,
        app_name=pool.app.name,
        row=function_row(pool),
        static=pool.spec.autoscaler,
        override=pool.override,
        requested=len(pool.fleet.containers),
        observed=pool.fleet.checked_in,
        counted=pool.measures.counted(pool.counts.accepted),
        decisions=[DecisionRow(*decision) for decision in pool.scaling.decisions if decision.at > since],
        url=urls[0] if urls else "",
        more_urls=urls[1:],
    )


def _open_row(call: Call) -> CallRow:
    history = call.history
    return CallRow(
        call_id=call.id,
        function=history.label,
        kind=call.kind.name.lower(),
        pending=call.pending,
        running=call.running,
        done=call.done,
        num_inputs=call.accepted if call.sealed else None,
        opened_at=history.opened_at,
        ended_at=None,
        app_name=history.app_name,
    )


def _ended_row(history: CallHistory) -> CallRow:
    count = history.num_inputs
    return CallRow(
        call_id=history.call_id,
        function=history.label,
        kind=history.kind.name.lower(),
        pending=0,
        running=0,
        done=count,
        num_inputs=count,
        opened_at=history.opened_at,
        ended_at=history.ended_at,
        app_name=history.app_name,
    )
