"""Containers on nodes beside containers on this machine: the same work, in one run, and what each may cost more.

The nodes are agents on this machine: they share its cores with the server, so what is measured is what a node
costs, and nothing of what it gains. What is to hold is said of the difference: a busy machine disturbs that less.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.case import Case, Measured, latency, percentile, timed
from benchmarks.cases.fleet import LARGE_FLEET, LIGHT, private_bytes
from benchmarks.cases.web import CONNECTIONS, traffic
from benchmarks.nodes import NODES, hold, nodes_of, running, templates
from benchmarks.work import began, increment, process_id, size

HERE = "swell, process backend"
ROUNDS = 5
WEB_OPEN = {"web_rate": 1e9, "web_port": 0, "admin_port": 0}  #: no limit, at ports that are free
MIB = 1 << 20
ARGUMENT_BYTES = 100_000_000


def first_result(on_nodes: bool, quick: bool) -> Measured:
    """One pool after another goes from zero to one container; every node has run something before."""
    import swell

    app = swell.App("bench")
    ready = app.function(name="ready", placement="spread")(increment)
    handles = [app.function(name=f"f{i}", max_containers=1)(increment) for i in range(6 if quick else 40)]
    with running(app, on_nodes=on_nodes):
        hold(ready, NODES)
        times = [timed(lambda handle=handle: handle.remote(1))[0] * 1e3 for handle in handles]
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


def noop_map(on_nodes: bool, quick: bool) -> Measured:
    import swell

    count = 50_000 if quick else 300_000
    app = swell.App("bench")
    function = app.function(max_containers=NODES, placement="spread")(increment)
    with running(app, on_nodes=on_nodes):
        hold(function, NODES)
        if on_nodes:
            counts = [node.containers for node in nodes_of(app)]
            assert counts == [1] * NODES, f"the containers are not spread over the nodes: {counts}"
        list(function.map(range(count // 10)))
        took, results = timed(lambda: list(function.map(range(count))))
    assert results == list(range(1, count + 1))
    return Measured(count / took, {"inputs": count})


def round_trip(on_nodes: bool, quick: bool) -> Measured:
    import swell

    app = swell.App("bench")
    function = app.function(max_containers=1)(increment)
    numbers = itertools.count()
    with running(app, on_nodes=on_nodes):
        return latency(lambda: function.remote(next(numbers)), count=300 if quick else 3_000)


def fleet(on_nodes: bool, quick: bool) -> Measured:
    """The floor of a pool is raised from 0 to a thousand while it runs."""
    import swell

    count = LARGE_FLEET // 10 if quick else LARGE_FLEET
    app = swell.App("bench")
    function = app.function(**LIGHT)(increment)
    containers = NODES if on_nodes else 1
    ready = app.function(name="ready", max_containers=containers, placement="spread")(process_id)
    with running(app, on_nodes=on_nodes):
        hold(ready, containers)
        origins = templates(ready, containers)
        took, _ = timed(lambda: hold(function, count))
        each = [private_bytes(child.pid) for origin in origins for child in origin.children()]
        keepers = [private_bytes(origin.ppid()) for origin in origins]  # the agents, or the server
    assert len(each) == count + containers
    memory = {"private MiB each": sum(each) / len(each) / MIB, "largest keeper MiB": max(keepers) / MIB}
    return Measured(took, memory)


def web(on_nodes: bool, quick: bool) -> Measured:
    """Requests to the same site as alone, over as many kept connections."""
    import swell

    app = swell.App("bench")

    @app.function(min_containers=1, max_containers=1, serialized=True)
    @swell.concurrent(max_inputs=100)
    @swell.asgi_app()
    def site() -> object:
        from benchmarks.site import app

        return app

    with running(app, on_nodes=on_nodes, **WEB_OPEN):
        url = f"{site.get_web_url()}/"
        traffic(url, seconds=0.5)
        told = traffic(url, seconds=1.0 if quick else 5.0)
        calm = traffic(url, seconds=1.0 if quick else 3.0, connections=1)
    return Measured(told["rate"], {"p50 ms": told["p50_ms"], "p50 ms of one at a time": calm["p50_ms"]})


def large_argument(on_nodes: bool, quick: bool) -> Measured:
    """An argument of 100 MB, from the call to the answer to it."""
    import numpy

    import swell

    data = numpy.frombuffer(numpy.random.default_rng(1).bytes(ARGUMENT_BYTES), dtype=numpy.uint8)
    app = swell.App("bench")
    function = app.function(max_containers=1)(size)
    with running(app, on_nodes=on_nodes):
        times = [timed(lambda: function.remote(data))[0] for _ in range(3 if quick else 7)]
    return Measured(ARGUMENT_BYTES / percentile(times, 0.5) / 1e6, {"ms": percentile(times, 0.5) * 1e3})


def lost(number: signal.Signals, quick: bool) -> Measured:
    """An agent is killed, or frozen, while its containers run inputs: how long until all of these run elsewhere."""
    import swell

    each, timeout_s = 4, 5.0
    app = swell.App("bench")
    function = app.function(placement="spread")(began)
    ready = app.function(name="ready", max_containers=NODES, placement="spread")(process_id)
    begun: list[float] = []
    with running(app, on_nodes=True, node_timeout_s=timeout_s):
        hold(ready, NODES)
        agent = next(iter(templates(ready, NODES))).parent()
        hold(function, each * NODES)
        # Longer than it takes to see that an agent is frozen, so that what it ran has begun twice.
        sleep_s = 2.0 if number == signal.SIGKILL else timeout_s + 3.0
        sleeps = [sleep_s] * (each * NODES)
        results = threading.Thread(target=lambda: begun.extend(function.map(sleeps, order_outputs=False)))
        results.start()
        while function.get_current_stats().num_running_inputs < len(sleeps):
            time.sleep(0.005)
        time.sleep(0.5)  # they have been sent; now they run
        struck = time.monotonic()
        agent.send_signal(number)
        results.join()
    again = [moment - struck for moment in begun if moment > struck]
    assert len(begun) == len(sleeps)
    return Measured(max(again), {"s until the first": min(again), "inputs lost": len(again)})


def _case(name: str, title: str, unit: str, measure: Callable[[bool, bool], Measured], **rest: Any) -> Case:
    """Return a case with the same work on nodes and here."""
    contestants = {"swell": partial(measure, True), HERE: partial(measure, False)}
    return Case(name=f"nodes-{name}", title=f"on {NODES} nodes: {title}", unit=unit, contestants=contestants, **rest)


FIRST_RESULT = _case(
    "first-result",
    "from zero containers to the first result, p50",
    "ms",
    first_result,
    target="at most 10 ms more than on one machine",
    meets=lambda values: values["swell"] <= values[HERE] + 10,
    rounds=ROUNDS,
)

MAP = _case(
    "map",
    "map of no-op inputs, 3 containers",
    "inputs/s",
    noop_map,
    higher_is_better=True,
    target="at least 0.7 times one machine",
    meets=lambda values: values["swell"] >= 0.7 * values[HERE],
    rounds=ROUNDS,
)

ROUND_TRIP = _case(
    "round-trip",
    "warm blocking remote(), p50",
    "µs",
    round_trip,
    target="at most 150 µs more than on one machine",
    meets=lambda values: values["swell"] <= values[HERE] + 150,
    rounds=ROUNDS,
)

FLEET = _case(
    "fleet",
    "from 0 to 1,000 light containers ready",
    "s",
    fleet,
    target="at most 12 s, 6 MiB a container, 30 MiB an agent",
    meets=lambda values: (
        values["swell"] <= 12 and values["swell: private MiB each"] <= 6 and values["swell: largest keeper MiB"] <= 30
    ),
)

WEB = _case(
    "web",
    f"requests to a FastAPI app, {CONNECTIONS} connections",
    "requests/s",
    web,
    higher_is_better=True,
    target="at least half of one machine",
    meets=lambda values: values["swell"] >= 0.5 * values[HERE],
    rounds=ROUNDS,
)

LARGE_ARGUMENT = _case(
    "large-argument",
    "a NumPy array of 100 MB as argument, from the call to the answer",
    "MB/s",
    large_argument,
    higher_is_better=True,
    target="at least 300 MB/s",
    meets=lambda values: values["swell"] >= 300,
)

KILLED = Case(
    name="nodes-killed",
    title="an agent of 3 is killed: until what it ran runs elsewhere",
    unit="s",
    contestants={"swell": partial(lost, signal.SIGKILL)},
    target="at most 0.5 s",
    meets=lambda values: values["swell"] <= 0.5,
)

FROZEN = Case(
    name="nodes-frozen",
    title="an agent of 3 is stopped (node_timeout_s is 5): until what it ran runs elsewhere",
    unit="s",
    contestants={"swell": partial(lost, signal.SIGSTOP)},
    target="at most 5.5 s",
    meets=lambda values: values["swell"] <= 5.5,
)

ALL = (FIRST_RESULT, MAP, ROUND_TRIP, FLEET, WEB, LARGE_ARGUMENT, KILLED, FROZEN)
