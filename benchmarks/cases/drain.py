"""Durable inputs that do as good as nothing: from their being spawned to the last result being on the disk."""

from __future__ import annotations

import time

from benchmarks.case import Case, Measured
from benchmarks.daemon import Daemon
from benchmarks.work import increment


def swell_drain(sync: str, quick: bool) -> Measured:
    """Two containers; the time includes that of accepting the inputs."""
    count = 20_000 if quick else 200_000
    with Daemon(store_sync=sync) as server:
        function = server.deploy(increment, containers=2)
        assert list(function.spawn_map(range(1_000)).iter()) == list(range(1, 1_001))
        used, began = server.cpu_s(), time.perf_counter()
        call = function.spawn_map(range(count))
        accepted = time.perf_counter()
        while (stats := function.get_current_stats()).backlog or stats.num_running_inputs:
            time.sleep(0.01)
        call.get(index=count - 1)
        took, used = time.perf_counter() - began, server.cpu_s() - used
        assert list(call.iter()) == list(range(1, count + 1))
        details = {
            "accepted after s": accepted - began,
            "inputs": count,
            "server CPU µs each": used / count * 1e6,
            "server MB": server.memory_max_bytes() / 1e6,
        }
    return Measured(count / took, details)


CASE = Case(
    name="drain",
    title="no-op inputs of spawn_map, 2 containers, until every result is on the disk",
    unit="inputs/s",
    contestants={
        "swell": lambda quick: swell_drain("full", quick),
        "swell, store_sync=normal": lambda quick: swell_drain("normal", quick),
    },
    higher_is_better=True,
    target="at least 20,000 inputs/s",
    floor="the work of a map, and a row for each run of results: the disk has room for more than the cores",
    meets=lambda values: values["swell"] >= 20_000,
)
