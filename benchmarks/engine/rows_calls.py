"""Rows: what a call costs beside functions, open calls, waiting inputs and leases."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.engine.driver import SPAN, Driver, function
from benchmarks.engine.measure import Row
from swell.model import Batching, CallKind, ClassSpec, Concurrency, MethodSpec, WebSpec
from swell.wire.web import Release

FUNCTIONS = (10, 100, 1_000, 3_000)
CALLS = (10, 100, 1_000, 10_000)
INPUTS = (1_000, 30_000, 1_000_000)
SERVICE_S = 0.01
METHODS = ClassSpec((MethodSpec("a"), MethodSpec("b"), MethodSpec("c")))


def _remote(driver: Driver, pool: str, method: str = "") -> None:
    driver.measured = True
    driver.pass_time(SERVICE_S)
    driver.call(pool, method=method)
    driver.complete(driver.delivered.popleft(), busy_s=SERVICE_S)
    driver.measured = False


def beside_functions(driver: Driver, size: int) -> Iterator[int]:
    """Every function of an app has a container, and is called in turn."""
    pools = driver.open_app(*[function(f"f{i}", min_containers=1) for i in range(size)])
    driver.start()
    while True:
        for pool in pools.values():
            _remote(driver, pool)
            yield 1


def beside_open_calls(driver: Driver, size: int) -> Iterator[int]:
    """So many maps of one function are open, and have sent nothing yet."""
    pool = driver.open(min_containers=10, max_containers=10)
    driver.start()
    for _ in range(size):
        driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    while True:
        _remote(driver, pool)
        yield 1


def beside_running_calls(driver: Driver, size: int) -> Iterator[int]:
    """So many calls of one function run, ten containers hold them, and one of them ends when another comes."""
    pool = driver.open(min_containers=10, max_containers=10, concurrency=Concurrency(1_000, 1_000))
    driver.start()
    for _ in range(size // 2):
        driver.call(pool)
    while True:
        _remote(driver, pool)
        yield 1


def waiting_calls(driver: Driver, size: int, *, methods: int = 1, **options: Any) -> Iterator[int]:
    """So many calls wait for ten containers; one container is free, and one more call comes."""
    pool = driver.open(min_containers=10, max_containers=10, cls=METHODS if methods > 1 else None, **options)
    driver.start()
    names = ("a", "b", "c")[:methods] if methods > 1 else ("",)
    for number in range(size + 10):
        driver.call(pool, method=names[number % methods])
    driver.pass_time(1.0)
    while True:
        for name in names:
            driver.measured = True
            for _ in range(driver.complete(driver.delivered.popleft(), busy_s=SERVICE_S)):
                driver.call(pool, method=name)
            driver.pass_time(SERVICE_S)
            driver.measured = False
            yield 1


def waiting_map(driver: Driver, size: int, *, kind: CallKind = CallKind.MAP) -> Iterator[int]:
    """So many inputs of one call wait for ten containers, and are 1 ms each; a unit is a report of one."""
    pool = driver.open(min_containers=10, max_containers=10)
    turn = deque(driver.start())
    call = driver.call(pool, 0, kind=kind, sealed=False)
    for _ in range(0, size, min(SPAN, size)):
        driver.put(call, min(SPAN, size))
    rest = size
    while True:
        driver.measured = True
        driver.pass_time(0.000_1)
        rest -= driver.complete(turn[0], busy_s=0.001)
        driver.give_back()
        driver.measured = False
        turn.rotate(-1)
        if rest < size // 2:
            driver.put(call, min(SPAN, size))
            rest += min(SPAN, size)
        yield 1


def waiting_spawns(driver: Driver, size: int) -> Iterator[int]:
    """So many spawned calls of one input wait, most of them in the store alone; a unit is a report, and a spawn."""
    pool = driver.open(min_containers=10, max_containers=10)
    driver.start()
    for _ in range(size):
        driver.call(pool, kind=CallKind.SPAWN)
    while True:
        driver.measured = True
        driver.pass_time(SERVICE_S / 10)
        driver.complete(driver.delivered.popleft(), busy_s=SERVICE_S)
        driver.call(pool, kind=CallKind.SPAWN)
        driver.measured = False
        yield 1


def leases(driver: Driver, size: int) -> Iterator[int]:
    """So many requests over HTTP have a slot; one more comes, and is released."""
    pool = driver.open(min_containers=10, max_containers=10, web=WebSpec("asgi"), concurrency=Concurrency(1_000, 1_000))
    driver.start()
    held = [driver.call(pool, kind=CallKind.WEB, client=7) for _ in range(size * 9 // 10)]
    while True:
        for number, call in enumerate(held):
            driver.measured = True
            driver.pass_time(SERVICE_S)
            held[number] = driver.call(pool, kind=CallKind.WEB, client=7)
            driver.say(Release(call, 1, SERVICE_S), client=7)
            driver.measured = False
            yield 1


ROWS = [
    Row("functions", "remote() beside so many functions, each with a container", beside_functions, FUNCTIONS),
    Row("open-calls", "remote() beside so many open maps of its function", beside_open_calls, CALLS),
    Row(
        "running-calls",
        "remote() beside so many calls that run in ten containers",
        beside_running_calls,
        CALLS,
    ),
    Row("waiting-calls", "report, and one more call, where so many calls wait", waiting_calls, CALLS),
    Row(
        "waiting-methods",
        "report, and one more call, where so many calls of three methods wait",
        partial(waiting_calls, methods=3),
        CALLS,
    ),
    Row(
        "waiting-batched",
        "report of a batch, and calls for it, where so many calls wait",
        partial(waiting_calls, batching=Batching(4, 10)),
        CALLS,
    ),
    Row(
        "waiting-batched-methods",
        "report of a batch, and calls for it, where so many calls of three methods wait",
        partial(waiting_calls, methods=3, batching=Batching(4, 10)),
        CALLS[1:],
    ),
    Row("waiting-map", "report of a 1 ms input where so many inputs of one map wait", waiting_map, INPUTS),
    Row(
        "waiting-spawn-map",
        "the same with spawn_map, of which a window is in memory",
        partial(waiting_map, kind=CallKind.SPAWN),
        INPUTS,
        {"keeps": True},
    ),
    Row(
        "waiting-spawns",
        "report, and one more spawn, where so many spawned calls wait",
        waiting_spawns,
        (1_000, 10_000, 100_000),
        {"keeps": True, "backlog_calls_max": 500},
    ),
    Row("leases", "a request over HTTP beside so many, ten containers", leases, CALLS),
]
