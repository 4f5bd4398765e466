"""Every case, in the order of the table."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import (
    batching,
    cold_start,
    concurrency,
    fairness,
    first_result,
    fleet,
    noop_map,
    payloads,
    round_trip,
)

CASES: dict[str, Case] = {
    module.CASE.name: module.CASE
    for module in (noop_map, round_trip, first_result, fleet, cold_start, payloads, fairness, concurrency, batching)
}
