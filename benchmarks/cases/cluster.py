"""swell on a Ray cluster beside plain Ray: actors and tasks that do the same work, in one run.

The cluster is this machine: what is measured is what a call costs, and nothing of what more machines gain. swell has
the node of its agent there; plain Ray starts as swell has it started, with as many cores.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import pools
from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.cases import first_result, noop_map, payloads, round_trip
from benchmarks.cases.cold_start import HELLO, whole
from benchmarks.work import increment

ON_RAY = {"SWELL_BACKEND": "ray", "SWELL_RAY_ADDRESS": "local"}
HERE = "swell, process backend"
ACTORS, TASKS = "Ray actors", "Ray tasks"
ROUNDS = 3


class RayTasks(pools.RayActors):
    """Ray with a task for each input, on the workers that Ray keeps for them."""

    label = TASKS

    def open(self) -> None:
        super().open()
        import ray

        def run(function: Callable[..., Any], x: object) -> Any:
            return function(x)

        self.task = ray.remote(num_cpus=1)(run)

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.get(self.task.remote(function, x))

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return self.get([self.task.remote(function, x) for x in xs])


def on_ray(measure: Callable[[bool], Measured], quick: bool) -> Measured:
    """Measure swell with a server that has the node of a Ray of its own."""
    os.environ |= ON_RAY
    return measure(quick)


def first_task(quick: bool) -> Measured:
    """A task whose environment no worker has: Ray starts one for it."""
    import ray

    numbers = itertools.count()
    ray.init(num_cpus=pools.PROCESSES, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        task = ray.remote(num_cpus=1)(increment)
        ray.get(task.remote(0))

        def once() -> Any:
            own = {"env_vars": {"NUMBER": str(next(numbers))}}
            return ray.get(task.options(runtime_env=own).remote(1))

        times = [timed(once)[0] * 1e3 for _ in range(3 if quick else 10)]
    finally:
        ray.shutdown()
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


@contextmanager
def small_cluster() -> Iterator[str]:
    """Run a cluster of one machine within the block; the address of its head."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder  # also where Ray notes which cluster this machine has
        Path(folder, "ray").mkdir()
        from ray.cluster_utils import Cluster

        head = {"num_cpus": pools.PROCESSES, "include_dashboard": False, "object_store_memory": 100 << 20}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster.address
        finally:
            cluster.shutdown()


def whole_run(on_cluster: bool, quick: bool) -> Measured:
    """`swell run hello.py`, from start to exit: on a cluster that is there, and, as a detail, on a Ray of its own."""
    command = [str(Path(sys.executable).with_name("swell")), "run"]
    if not on_cluster:
        return whole([*command, str(HELLO)], 3 if quick else 10)
    ray = [*command, "--backend", "ray", "--address"]
    with small_cluster() as address:
        there = whole([*ray, address, str(HELLO)], 3 if quick else 5)
    own = whole([*ray, "local", str(HELLO)], 1 if quick else 3)
    return Measured(there.value, {"s with a Ray of its own": own.value})


def _case(name: str, title: str, unit: str, contestants: dict[str, Callable[[bool], Measured]], **rest: Any) -> Case:
    present = contestants if find_spec("ray") else {}
    return Case(f"cluster-{name}", f"on Ray: {title}", unit, present, rounds=ROUNDS, limit_s=240, **rest)


def _as_pools(measure: Callable[..., Measured]) -> dict[str, Callable[[bool], Measured]]:
    """Return the contestants of work that every kind of pool can do."""
    swell = partial(measure, pools.Swell)
    return {
        "swell": partial(on_ray, swell),
        HERE: swell,
        ACTORS: partial(measure, pools.RayActors),
        TASKS: partial(measure, RayTasks),
    }


FIRST_RESULT = _case(
    "first-result",
    "from zero containers, actors or workers to the first result, p50",
    "ms",
    {
        "swell": partial(on_ray, first_result.swell_containers),
        HERE: first_result.swell_containers,
        ACTORS: first_result.ray_actor,
        TASKS: first_task,
    },
    target="at most a tenth of an actor's start",
    meets=lambda values: values["swell"] <= values[ACTORS] / 10,
)

MAP = _case(
    "map",
    "map of no-op inputs, 2 containers",
    "inputs/s",
    _as_pools(noop_map.measure),
    higher_is_better=True,
    target="at least 20 times the calls of actors",
    meets=lambda values: values["swell"] >= 20 * values[ACTORS],
)

ROUND_TRIP = _case(
    "round-trip",
    "warm blocking remote(), p50",
    "µs",
    _as_pools(round_trip.measure),
    target="faster than an actor's call",
    meets=lambda values: values["swell"] < values[ACTORS],
)

ARRAYS = _case(
    "arrays",
    "1 MiB NumPy arrays as arguments of map",
    "GB/s",
    _as_pools(payloads.measure) if find_spec("numpy") else {},
    higher_is_better=True,
    target="at least as many as actors",
    meets=lambda values: values["swell"] >= values[ACTORS],
)

RUN = _case(
    "run",
    "`swell run --backend ray hello.py` on a cluster that is there, start to exit, p50",
    "s",
    {"swell": partial(whole_run, True), HERE: partial(whole_run, False)},
    target="at most 3 s more than without --backend ray",
    meets=lambda values: values["swell"] <= values[HERE] + 3,
)

ALL = (FIRST_RESULT, MAP, ROUND_TRIP, ARRAYS, RUN)
