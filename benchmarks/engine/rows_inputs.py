"""Rows: what a container's report of results costs, and a call, in a pool of many containers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.engine.driver import Driver
from benchmarks.engine.measure import Row
from swell.model import Batching, CallKind, Concurrency
from swell.wire import messages as m

CONTAINERS = (10, 100, 1_000, 10_000)


def saturated(
    driver: Driver, size: int, *, service_s: float, each: int = 1, slots: int = 1, waiting: int = 20, **options: Any
) -> Iterator[int]:
    """Every container works through one long map, of which `waiting` inputs a container wait; a unit is a report."""
    pool = driver.open(min_containers=size, max_containers=size, **options)
    turn = deque(driver.start())
    call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    every_s = each * service_s / (size * slots)

    def report() -> None:
        container_id = turn[0]
        turn.rotate(-1)
        driver.pass_time(every_s)
        driver.complete(container_id, each, busy_s=service_s)
        driver.give_back()

    def top_up() -> None:
        while driver.engine.state.pools[pool].backlog.count < waiting * size:
            driver.put(call)

    top_up()
    for _ in range(2 * size):
        if driver.held[turn[0]]:
            report()
        top_up()
    while True:
        driver.measured = True
        report()
        driver.measured = False
        top_up()
        yield 1


def half_idle(driver: Driver, size: int, *, service_s: float = 0.001) -> Iterator[int]:
    """Calls of one input come and go while half of the containers have nothing to do; a unit is a call."""
    pool = driver.open(min_containers=size, max_containers=size)
    driver.start()
    for _ in range(size // 2):
        driver.call(pool)
    while True:
        driver.measured = True
        driver.pass_time(service_s / size)
        driver.call(pool)
        driver.complete(driver.delivered.popleft(), busy_s=service_s)
        driver.measured = False
        yield 1


def tail(driver: Driver, size: int, *, service_s: float = 0.001, ahead: int = 5) -> Iterator[int]:
    """The end of a map: nothing waits, containers run out of what they hold; a unit is a report."""
    pool = driver.open(min_containers=size, max_containers=size)
    containers = driver.start()
    while True:
        call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
        driver.put(call, 2 * ahead * size)
        for rest in range(ahead + 6):
            for container_id in containers:
                if rest >= ahead and driver.held[container_id]:
                    driver.measured = True
                if driver.held[container_id]:
                    driver.pass_time(service_s / size)
                    driver.complete(container_id, busy_s=service_s)
                    driver.give_back()
                if driver.measured:
                    driver.measured = False
                    yield 1
        for container_id in containers:
            while driver.held[container_id]:
                driver.complete(container_id, 100, busy_s=service_s)


def beside_leaving(driver: Driver, size: int, *, service_s: float = 0.1, working: int = 10) -> Iterator[int]:
    """Ten containers work, beside so many that finish what they have and take nothing more; a unit is a report."""
    pool = driver.open(min_containers=size, max_containers=size)
    leaving = driver.start()
    for _ in leaving:
        driver.call(pool)
    driver.resize(pool, min_containers=working, max_containers=working)
    for container_id in leaving:
        driver.report(container_id, m.Leaving())
    turn = deque(driver.start())
    call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    driver.put(call)
    while True:
        driver.measured = True
        driver.pass_time(service_s / working)
        driver.complete(turn[0], busy_s=service_s)
        driver.measured = False
        turn.rotate(-1)
        yield 1


ROWS = [
    Row(
        "serial-100ms",
        "report of a 100 ms input, of so many containers that all work",
        partial(saturated, service_s=0.1),
        CONTAINERS,
    ),
    Row("serial-1ms", "report of a 1 ms input (run-ahead 5)", partial(saturated, service_s=0.001), CONTAINERS),
    Row(
        "serial-50us",
        "report of 20 inputs of 50 µs (run-ahead 100)",
        partial(saturated, service_s=0.000_05, each=20, waiting=200),
        CONTAINERS,
    ),
    Row(
        "concurrent",
        "report of a 100 ms input, concurrent(max_inputs=10)",
        partial(saturated, service_s=0.1, slots=10, waiting=40, concurrency=Concurrency(10, 10)),
        CONTAINERS,
    ),
    Row(
        "concurrent-target",
        "report of a 100 ms input, concurrent(max_inputs=10, target_inputs=5)",
        partial(saturated, service_s=0.1, slots=10, waiting=40, concurrency=Concurrency(10, 5)),
        CONTAINERS,
    ),
    Row(
        "batched",
        "report of a batch of 32, 100 ms",
        partial(saturated, service_s=0.1, waiting=100, batching=Batching(32, 10)),
        CONTAINERS,
    ),
    Row("half-idle", "remote() in a pool of so many containers, half of them idle", half_idle, CONTAINERS),
    Row("tail", "report at the end of a map of 1 ms inputs", tail, CONTAINERS),
    Row("beside-leaving", "report of a 100 ms input beside so many leaving containers", beside_leaving, CONTAINERS),
]
