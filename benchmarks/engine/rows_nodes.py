"""Rows: what the nodes cost an event, where these are many, full, or drain."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.engine.driver import PLENTY, START_S, Driver, function
from benchmarks.engine.measure import Row
from benchmarks.engine.rows_inputs import CONTAINERS
from benchmarks.engine.rows_starts import start_by_floor
from swell.model import Placement, Resources
from swell.wire.queries import DrainNode

NODES = (1, 100, 1_000)


def start_on_nodes(driver: Driver, nodes: int) -> Iterator[int]:
    """The floor of a pool of a thousand containers is raised by one, where there are so many nodes."""
    yield from start_by_floor(driver, 1_000)


def start_beside_full_nodes(driver: Driver, nodes: int) -> Iterator[int]:
    """A call starts the first container of a pool where all nodes but one have cores and no memory."""
    full = function("full", min_containers=nodes - 1, resources=Resources(memory_bytes=PLENTY))
    pools = driver.open_app(full, function("f"))
    driver.start(after_s=START_S)
    while True:
        driver.measured = True
        driver.call(pools["f"])
        driver.measured = False
        (started,) = driver.start(after_s=START_S)
        driver.complete(started, busy_s=1_000.0)
        driver.exits(started)
        yield 1


def start_spread(driver: Driver, nodes: int) -> Iterator[int]:
    """A pool that is spread has a container on each of so many nodes, and one call more starts one more."""
    pool = driver.open(placement=Placement.SPREAD)
    for _ in range(nodes):
        driver.call(pool)
    driver.start(after_s=START_S)
    driver.complete(driver.delivered.popleft(), busy_s=1_000.0)
    driver.call(pool)
    while True:
        driver.measured = True
        driver.call(pool)
        driver.measured = False
        (started,) = driver.start(after_s=START_S)
        driver.complete(started, busy_s=1_000.0)
        driver.exits(started)
        yield 1


def report_while_draining(driver: Driver, size: int) -> Iterator[int]:
    """A container reports while a node drains that has half of a pool, and replacements are starting."""
    pool = driver.open(min_containers=size)
    driver.start(after_s=START_S)
    driver.say(DrainNode(1, "node-00000"))
    driver.pass_time()
    assert len(driver.requested) == size // 2, "a start for each container of the node"
    while True:
        driver.call(pool)
        driver.measured = True
        driver.complete(driver.delivered.popleft(), busy_s=0.1)
        driver.measured = False
        yield 1


ROWS = [
    Row("start-nodes", "one more start, by a floor, with so many nodes", start_on_nodes, NODES, {"nodes": "size"}),
    Row(
        "start-full-nodes",
        "a start where so many nodes but one have no memory",
        start_beside_full_nodes,
        NODES[1:],
        {"nodes": "size", "memory_overcommit": 1.0},
    ),
    Row(
        "start-spread",
        "one more start in a pool that is spread over so many nodes",
        start_spread,
        NODES,
        {"nodes": "size"},
    ),
    Row(
        "report-draining",
        "report of a 100 ms input, in a pool of so many containers, half of them on a node that drains",
        report_while_draining,
        CONTAINERS,
        {"nodes": 2},
    ),
]
