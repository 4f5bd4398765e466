"""Rows: what the start, the check-in and the end of a container cost, beside other containers, nodes and pools."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from benchmarks.engine.driver import START_S, Driver, function
from benchmarks.engine.measure import Row
from benchmarks.engine.rows_inputs import CONTAINERS
from swell.model import GpuRequest, Resources

POOLS = (10, 100, 1_000)


def start_on_demand(driver: Driver, size: int) -> Iterator[int]:
    """So many containers are busy, and one call more starts one more."""
    pool = driver.open()
    for _ in range(size):
        driver.call(pool)
    driver.start(after_s=START_S)
    driver.complete(driver.delivered.popleft(), busy_s=1_000.0)
    driver.call(pool)
    while True:
        driver.measured = True
        driver.call(pool)
        driver.measured = False
        started = driver.start(after_s=START_S)
        assert started, "a start for one more input"
        driver.complete(started[0], busy_s=1_000.0)
        driver.exits(started[0])
        yield 1


def start_by_floor(driver: Driver, size: int) -> Iterator[int]:
    """The floor of a pool is raised by one."""
    pool = driver.open(min_containers=size)
    driver.start(after_s=START_S)
    while True:
        driver.measured = True
        driver.resize(pool, min_containers=size + 1)
        driver.measured = False
        started = driver.start(after_s=START_S)
        driver.resize(pool, min_containers=size)
        driver.exits(started[0])
        yield 1


def start_beside_starting(driver: Driver, size: int) -> Iterator[int]:
    """The floor of a pool is raised by one while as many containers as it was are starting."""
    pool = driver.open(min_containers=size)
    driver.pass_time()
    while True:
        driver.measured = True
        driver.resize(pool, min_containers=size + 1)
        driver.measured = False
        started = driver.check_in()
        driver.resize(pool, min_containers=size)
        driver.exits(started)
        yield 1


def start_all(driver: Driver, size: int) -> Iterator[int]:
    """The floor of a pool is raised from 0 to so many; a unit is a container."""
    pool = driver.open()
    driver.measured = True
    driver.resize(pool, min_containers=size)
    yield len(driver.requested)
    while len(driver.requested) < size:
        before = len(driver.requested)
        driver.tick()
        yield len(driver.requested) - before


def check_in(driver: Driver, size: int) -> Iterator[int]:
    """One more container checks in."""
    pool = driver.open(min_containers=size)
    driver.start(after_s=START_S)
    while True:
        driver.resize(pool, min_containers=size + 1)
        driver.measured = True
        started = driver.start(after_s=START_S)
        driver.measured = False
        driver.resize(pool, min_containers=size)
        driver.exits(started[0])
        yield 1


def exit_idle(driver: Driver, size: int) -> Iterator[int]:
    """A container dies that had nothing to do, and is replaced."""
    driver.open(min_containers=size)
    containers = deque(driver.start(after_s=START_S))
    while True:
        driver.measured = True
        driver.exits(containers.popleft())
        driver.pass_time()
        driver.measured = False
        containers += driver.start(after_s=START_S)
        yield 1


def exit_busy(driver: Driver, size: int) -> Iterator[int]:
    """A container dies with its input, which runs again in the one that replaces it."""
    pool = driver.open(min_containers=size, max_containers=size)
    driver.start(after_s=START_S)
    for _ in range(size):
        driver.call(pool)
    while True:
        driver.measured = True
        driver.exits(driver.delivered.popleft())
        driver.pass_time()
        driver.measured = False
        (started,) = driver.start(after_s=START_S)
        assert driver.delivered.pop() == started
        driver.complete(started)
        driver.call(pool)
        yield 1


def scaledown(driver: Driver, size: int) -> Iterator[int]:
    """The scaledown window of one idle container after another is over."""
    pool = driver.idle_one_by_one(size)
    for _ in range(size // 2):
        driver.measured = True
        while not driver.told_to_leave:
            driver.until(driver.engine.next_deadline())
        driver.measured = False
        driver.exits(driver.told_to_leave.popleft())
        yield 1
    assert driver.engine.state.pools[pool].fleet.idle, "some are idle still"


# ---------------------------------------------------------------- beside pools that wait for room


def blocked(driver: Driver, size: int, event: Callable[[Driver, str, deque[str]], int]) -> Iterator[int]:
    """So many functions wait for the only GPU, which another has; something happens in a third function."""
    on_gpu = Resources(gpu=(GpuRequest("H100", 1),))
    starved = [function(f"starved-{i}", resources=on_gpu) for i in range(size)]
    pools = driver.open_app(
        function("holder", min_containers=1, resources=on_gpu), function("f", min_containers=20), *starved
    )
    containers = driver.start()
    driver.call(pools["holder"])
    driver.delivered.clear()
    for spec in starved:
        driver.call(pools[spec.name])
    driver.pass_time()
    turn = deque(containers[1:])
    while True:
        yield event(driver, pools["f"], turn)


def _report(driver: Driver, pool: str, turn: deque[str]) -> int:
    driver.call(pool)
    driver.measured = True
    driver.complete(driver.delivered.popleft())
    driver.pass_time()
    driver.measured = False
    return 1


def _exit(driver: Driver, pool: str, turn: deque[str]) -> int:
    driver.measured = True
    driver.exits(turn.popleft())
    driver.pass_time()
    driver.measured = False
    turn += driver.start()
    return 1


def _check_in(driver: Driver, pool: str, turn: deque[str]) -> int:
    driver.exits(turn.popleft())
    driver.measured = True
    turn += driver.start()
    driver.measured = False
    return 1


def _look(driver: Driver, pool: str, turn: deque[str]) -> int:
    """Observe the nodes; a unit is a step, for every pool is reconsidered, if not at once."""
    before = driver.steps
    driver.measured = True
    driver.observe()
    driver.pass_time()
    driver.measured = False
    return driver.steps - before


def _beside_blocked(event: Callable[[Driver, str, deque[str]], int]) -> Callable[[Driver, int], Iterator[int]]:
    return lambda driver, size: blocked(driver, size, event)


GPU: dict[str, object] = {"gpus": 1}

ROWS = [
    Row("start-demand", "one more start, by demand, in a pool of so many containers", start_on_demand, CONTAINERS),
    Row("start-floor", "one more start, by a floor, in a pool of so many containers", start_by_floor, CONTAINERS),
    Row("start-starting", "one more start while so many containers are starting", start_beside_starting, CONTAINERS),
    Row("start-all", "each of so many starts at once", start_all, CONTAINERS, is_total=True),
    Row("check-in", "a check-in in a pool of so many containers", check_in, CONTAINERS),
    Row("exit-idle", "the death of an idle container in a pool of so many, and a start", exit_idle, CONTAINERS),
    Row("exit-busy", "the death of a busy container in a pool of so many, and a start", exit_busy, CONTAINERS),
    Row("scaledown", "the end of a scaledown window in a pool of so many containers", scaledown, CONTAINERS[1:]),
    Row(
        "blocked-report",
        "report that leaves a container idle, with so many blocked pools",
        _beside_blocked(_report),
        POOLS,
        GPU,
    ),
    Row("blocked-exit", "an exit and a start, with so many blocked pools", _beside_blocked(_exit), POOLS, GPU),
    Row("blocked-check-in", "a check-in, with so many blocked pools", _beside_blocked(_check_in), POOLS, GPU),
    Row(
        "blocked-look",
        "each step after a look at the nodes, with so many blocked pools",
        _beside_blocked(_look),
        (100, 1_000, 3_000),
        GPU,
    ),
]
