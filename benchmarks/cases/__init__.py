"""Every case, in the order of the table."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import (
    batching,
    calls_together,
    cluster,
    cold_start,
    concurrency,
    drain,
    engine_growth,
    engine_scale,
    fairness,
    first_result,
    fleet,
    nodes,
    noop_map,
    payloads,
    restart,
    round_trip,
    spawn,
    spawn_map,
    web,
)

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        noop_map.CASE,
        round_trip.CASE,
        calls_together.FROM_THREADS,
        calls_together.FROM_TASKS,
        first_result.CASE,
        fleet.CASE,
        fleet.BY_MAP,
        fleet.LARGE,
        cold_start.CASE,
        payloads.CASE,
        fairness.CASE,
        concurrency.CASE,
        batching.CASE,
        spawn.ONE_BY_ONE,
        spawn.THREADS_TOGETHER,
        spawn.TASKS_TOGETHER,
        spawn_map.CASE,
        restart.CASE,
        drain.CASE,
        engine_growth.CASE,
        engine_scale.CASE,
        web.THROUGHPUT,
        web.LATENCY,
        web.FROM_ZERO,
        *nodes.ALL,
        *cluster.ALL,
    )
}
