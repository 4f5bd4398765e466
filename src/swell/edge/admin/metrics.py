"""Metrics in the text format of Prometheus, made of one observation for each scrape.

Names follow the conventions of Prometheus: base units, `_total` for counters. Functions of one name in one app
(variants, pinned versions) are added up, and counts include those of retired pools, because a counter must not fall.
This module must not know where numbers come from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final, NamedTuple

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from swell.bounds import MOMENT_MAX
from swell.edge.admin.api.operation import ApiContext
from swell.edge.traffic import Traffic
from swell.model import OutputStatus
from swell.names import shown_name
from swell.wire.histogram import BOUNDS_S, Times
from swell.wire.stats import Counted, FunctionMeasures, LinkRow, Observation, Observe, RetiredMeasures

__all__ = ["METRICS", "Measured", "exposition", "routes"]

Samples = Iterable[tuple[tuple[str, ...], float]] | Iterable[tuple[tuple[str, ...], Times]]

Counting = FunctionMeasures | RetiredMeasures

_FUNCTION: Final = ("app", "function")


class Measured(NamedTuple):
    """The data that metrics are made of."""

    seen: Observation
    traffic: Traffic


class Definition(Struct, frozen=True):
    """One metric. Its name is without the suffix of its kind."""

    name: str
    kind: str  #: "counter", "gauge" or "histogram"
    labels: tuple[str, ...]
    meaning: str
    read: Callable[[Measured], Samples]


def routes(context: ApiContext, traffic: Traffic) -> list[BaseRoute]:
    """Return the route."""

    async def metrics(_request: Request) -> Response:
        # No metric counts decisions, so none are requested.
        seen = await context.ask(Observation, lambda number: Observe(number, MOMENT_MAX))
        return Response(exposition(Measured(seen, traffic)), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/metrics", metrics)]


def exposition(measured: Measured) -> bytes:
    """Return all metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Collector(measured))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Metric]:
        for definition in METRICS:
            yield _family(definition, definition.read(self._measured))

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _family(definition: Definition, samples: Iterable[tuple[tuple[str, ...], Any]]) -> Metric:
    name, meaning, labels = f"swell_{definition.name}", definition.meaning, definition.labels
    match definition.kind:
        case "counter":
            counter = CounterMetricFamily(name, meaning, labels=labels)
            for values, value in samples:
                counter.add_metric(values, value)
            return counter
        case "gauge":
            gauge = GaugeMetricFamily(name, meaning, labels=labels)
            for values, value in samples:
                gauge.add_metric(values, value)
            return gauge
        case _:
            histogram = HistogramMetricFamily(name, meaning, labels=labels)
            for values, times in samples:
                bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
                counts: list[int] = times.counts
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                histogram.add_metric(values, buckets, times.total_s)
            return histogram


# ---------------------------------------------------------------- reading


def _of_nodes(value: Callable[[Any], float]) -> Callable[[Measured], Samples]:
    return lambda measured: [((node.name,), value(node)) for node in measured.seen.nodes]


def _of_links(value: Callable[[LinkRow], float | None]) -> Callable[[Measured], Samples]:
    """Read from the links of those nodes that have one, as far as there is anything to read."""
    return lambda measured: [
        ((node.name,), number)
        for node in measured.seen.nodes
        if node.link is not None and (number := value(node.link)) is not None
    ]


def _of_functions(value: Callable[[FunctionMeasures], float]) -> Callable[[Measured], Samples]:
    return lambda measured: _added((_labels(each), value(each)) for each in measured.seen.functions)


def _added(samples: Iterable[tuple[tuple[str, ...], float]]) -> Samples:
    """Add up samples of the same labels."""
    added: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for labels, value in samples:
        added[labels] += value
    return added.items()


def _counted(measured: Measured) -> Iterator[Counting]:
    """Iterate over the counts of functions, and of retired pools of their names."""
    seen = measured.seen
    yield from seen.functions
    present = {_labels(each) for each in seen.functions}
    yield from (each for each in seen.former if _labels(each) in present)


def _counts(value: Callable[[Counted], float]) -> Callable[[Measured], Samples]:
    return lambda measured: _added((_labels(each), value(each.counted)) for each in _counted(measured))


def _times(value: Callable[[Counted], Times]) -> Callable[[Measured], Samples]:
    def read(measured: Measured) -> Samples:
        added: dict[tuple[str, ...], Times] = {}
        for each in _counted(measured):
            key, times = _labels(each), value(each.counted)
            known = added.get(key)
            added[key] = times if known is None else _sum(known, times)
        return added.items()

    return read


def _sum(one: Times, other: Times) -> Times:
    return Times([a + b for a, b in zip(one.counts, other.counts, strict=True)], one.total_s + other.total_s)


def _labels(each: Counting) -> tuple[str, ...]:
    name = each.row.name if isinstance(each, FunctionMeasures) else each.name
    return each.app_name, shown_name(name)


def _ended(measured: Measured) -> Samples:
    return _added(
        ((*_labels(each), OutputStatus(status).name.lower()), count)
        for each in _counted(measured)
        for status, count in each.counted.ended.items()
    )


def _containers(measured: Measured) -> Samples:
    return _added(
        ((*_labels(each), state), count) for each in measured.seen.functions for state, count in _states(each).items()
    )


def _states(each: FunctionMeasures) -> dict[str, int]:
    row = each.row
    states = {"starting": row.starting, "busy": row.busy, "idle": row.idle}
    return states | {"leaving": max(0, each.requested - sum(states.values()))}


METRICS: Final[tuple[Definition, ...]] = (
    Definition(
        "start_time_seconds",
        "gauge",
        (),
        "When the server started, in seconds since the epoch.",
        lambda measured: [((), measured.seen.started_at)],
    ),
    Definition(
        "build_info",
        "gauge",
        ("version",),
        "Version of the server; the value is 1.",
        lambda measured: [((measured.seen.version,), 1)],
    ),
    Definition("node_cores", "gauge", ("node",), "Cores of a machine.", _of_nodes(lambda node: node.cores)),
    Definition(
        "node_busy_cores",
        "gauge",
        ("node",),
        "Cores that containers keep busy, as measured last.",
        _of_nodes(lambda node: node.busy_cores),
    ),
    Definition(
        "node_requested_cores",
        "gauge",
        ("node",),
        "Cores that containers have requested.",
        _of_nodes(lambda node: node.cpu_used),
    ),
    Definition("node_memory_bytes", "gauge", ("node",), "Memory of a machine.", _of_nodes(lambda n: n.memory_bytes)),
    Definition(
        "node_requested_memory_bytes",
        "gauge",
        ("node",),
        "Memory that containers have requested.",
        _of_nodes(lambda node: node.memory_used_bytes),
    ),
    Definition("node_gpus", "gauge", ("node",), "GPUs of a machine.", _of_nodes(lambda node: node.gpus)),
    Definition("node_used_gpus", "gauge", ("node",), "GPUs that containers have.", _of_nodes(lambda n: n.gpus_used)),
    Definition(
        "node_containers", "gauge", ("node",), "Containers on a machine.", _of_nodes(lambda node: node.containers)
    ),
    Definition(
        "node_containers_started",
        "counter",
        ("node",),
        "Containers that were started on a machine.",
        _of_nodes(lambda node: node.started),
    ),
    Definition(
        "node_containers_lost",
        "counter",
        ("node",),
        "Containers that died on a machine while they were needed.",
        _of_nodes(lambda node: node.lost),
    ),
    Definition(
        "node_link_heard_time_seconds",
        "gauge",
        ("node",),
        "When a node gave a sign of life last, in seconds since the epoch.",
        _of_links(lambda link: link.heard_at),
    ),
    Definition(
        "node_link_round_trip_seconds",
        "gauge",
        ("node",),
        "How long a word to a node and its answer took last.",
        _of_links(lambda link: link.round_trip_s),
    ),
    Definition(
        "node_link_received_bytes",
        "counter",
        ("node",),
        "Bytes of messages and files that came from a node.",
        _of_links(lambda link: link.received_bytes),
    ),
    Definition(
        "node_link_sent_bytes",
        "counter",
        ("node",),
        "Bytes of messages and files that were sent to a node.",
        _of_links(lambda link: link.sent_bytes),
    ),
    Definition(
        "inputs_accepted",
        "counter",
        _FUNCTION,
        "Inputs that were accepted, requests over HTTP included.",
        _counts(lambda each: each.accepted),
    ),
    Definition("inputs", "counter", (*_FUNCTION, "status"), "Inputs that have ended, by status.", _ended),
    Definition(
        "inputs_retried",
        "counter",
        _FUNCTION,
        "Failed attempts that were retried.",
        _counts(lambda each: each.retried),
    ),
    Definition(
        "inputs_rerun",
        "counter",
        _FUNCTION,
        "Inputs that were requeued because their container was lost.",
        _counts(lambda each: each.lost),
    ),
    Definition("inputs_waiting", "gauge", _FUNCTION, "Inputs that wait.", _of_functions(lambda each: each.row.pending)),
    Definition(
        "inputs_running",
        "gauge",
        _FUNCTION,
        "Inputs that containers have.",
        _of_functions(lambda each: each.row.running),
    ),
    Definition("containers", "gauge", (*_FUNCTION, "state"), "Containers by state.", _containers),
    Definition(
        "containers_wanted",
        "gauge",
        _FUNCTION,
        "Containers that the autoscaler wants.",
        _of_functions(lambda each: each.row.plan),
    ),
    Definition(
        "containers_failed",
        "counter",
        _FUNCTION,
        "Containers that never became ready.",
        _counts(lambda each: each.containers_failed),
    ),
    Definition(
        "containers_lost",
        "counter",
        _FUNCTION,
        "Containers that died while they were needed.",
        _counts(lambda each: each.containers_lost),
    ),
    Definition(
        "call_leases_granted",
        "counter",
        _FUNCTION,
        "Call leases: slots of containers that clients got for some milliseconds, to send calls straight to them.",
        _counts(lambda each: each.leases_granted),
    ),
    Definition(
        "call_leases_recalled",
        "counter",
        _FUNCTION,
        "Call leases that were recalled, since others waited, or since they were not used; clients end the others.",
        _counts(lambda each: each.leases_recalled),
    ),
    Definition(
        "direct_calls",
        "counter",
        _FUNCTION,
        "Calls that went straight to a container, on a call lease. They are among the inputs that were accepted.",
        _counts(lambda each: each.direct),
    ),
    Definition(
        "direct_call_fallbacks",
        "counter",
        _FUNCTION,
        "Calls that went through the server though their clients would have liked a call lease.",
        _counts(lambda each: each.fallbacks),
    ),
    Definition(
        "queue_wait_seconds",
        "histogram",
        _FUNCTION,
        "How long inputs wait for a container.",
        _times(lambda each: each.wait),
    ),
    Definition(
        "execution_seconds",
        "histogram",
        _FUNCTION,
        "How long inputs, or batches, run.",
        _times(lambda each: each.run),
    ),
    Definition(
        "container_start_seconds",
        "histogram",
        _FUNCTION,
        "How long containers take to become ready.",
        _times(lambda each: each.start),
    ),
    Definition(
        "http_requests",
        "counter",
        ("label", "code"),
        "Requests to web functions that have ended, by status; 0: aborted.",
        lambda measured: [((label, str(code)), count) for (label, code), count in measured.traffic.answered.items()],
    ),
    Definition(
        "http_requests_refused",
        "counter",
        ("code",),
        "Requests that were refused, by status.",
        lambda measured: [((str(code),), count) for code, count in measured.traffic.refused.items()],
    ),
    Definition(
        "http_requests_in_progress",
        "gauge",
        ("label",),
        "Requests to web functions that are in progress.",
        lambda measured: [((label,), count) for label, count in measured.traffic.going_on.items()],
    ),
    Definition(
        "http_request_duration_seconds",
        "histogram",
        ("label",),
        "Duration of requests, from their head to the end of the response.",
        lambda measured: [((label,), durations.times()) for label, durations in measured.traffic.durations.items()],
    ),
    Definition(
        "http_connections",
        "gauge",
        ("port",),
        "Open connections of clients, by port: web or admin.",
        lambda measured: [((port,), count) for port, count in measured.traffic.connections_open.items()],
    ),
    Definition(
        "http_connections_refused",
        "counter",
        ("port",),
        "Connections that were refused because too many were open, by port: web or admin.",
        lambda measured: [((port,), count) for port, count in measured.traffic.connections_refused.items()],
    ),
)
