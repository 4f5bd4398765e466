"""Rows: what deadlines cost when they are due, one container at a time, and cancellations, in a pool of many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

from benchmarks.engine.driver import SPAN, Driver
from benchmarks.engine.measure import Row
from benchmarks.engine.rows_inputs import CONTAINERS, saturated
from swell.model import CallKind
from swell.wire import messages as m

APART_S = 0.01  #: between one container's deadline and the next's
GRACE_S = 1_000.0  #: so that all have come to be before the first is due
SIZES = CONTAINERS[1:]


def _until_killed(driver: Driver) -> None:
    driver.measured = True
    while not driver.killed:
        driver.until(driver.engine.next_deadline())
    driver.measured = False


def timeout(driver: Driver, size: int) -> Iterator[int]:
    """One input after another has run for as long as it may; its container is killed and replaced."""
    pool = driver.open(min_containers=size, max_containers=size)
    driver.start_fleet()
    for _ in range(size):
        driver.pass_time(APART_S)
        driver.call(pool)
    while True:
        _until_killed(driver)
        driver.exits(driver.killed.popleft())
        driver.start()
        driver.call(pool)
        yield 1


def drain(driver: Driver, size: int) -> Iterator[int]:
    """One container after another has not left within its grace."""
    driver.idle_one_by_one(size)
    while len(driver.told_to_leave) < size:
        driver.until(driver.engine.next_deadline())
    for _ in range(size // 2):
        _until_killed(driver)
        driver.exits(driver.killed.popleft())
        yield 1


def startup(driver: Driver, size: int) -> Iterator[int]:
    """One container after another has not checked in within its startup timeout."""
    pool = driver.open()
    for floor in range(1, size + 1):
        driver.pass_time(APART_S)
        driver.resize(pool, min_containers=floor)
    for _ in range(size // 2):
        _until_killed(driver)
        driver.killed.clear()
        yield 1


def late(driver: Driver, size: int) -> Iterator[int]:
    """One container after another takes much longer than was estimated, and is asked to return what it holds."""
    pool = driver.open(min_containers=size, max_containers=size, timeout_s=80_000.0)
    turn = deque(driver.start_fleet())
    call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    driver.put(call, 30 * size)
    driver.complete(turn[0], busy_s=0.001)
    driver.pass_time(1.0)  # now all others are late at once
    driver.give_back()
    while True:
        turn.rotate(-1)
        driver.complete(turn[0], busy_s=0.001)  # it is given work ahead
        driver.measured = True
        driver.pass_time(3 * APART_S)
        driver.give_back()
        driver.measured = False
        if driver.engine.state.pools[pool].backlog.count < 10 * size:
            driver.put(call, 10 * size)
        yield 1


def overdue(driver: Driver, size: int) -> Iterator[int]:
    """Nothing is reported for much longer than was estimated, while inputs wait: the engine looks at what is late."""
    pool = driver.open(min_containers=size, max_containers=size, timeout_s=80_000.0)
    containers = driver.start_fleet()
    call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    driver.put(call, 30 * size)
    for container_id in containers:
        driver.complete(container_id, busy_s=0.001)
    driver.pass_time(0.5)
    driver.give_back()
    for _ in range(15):  # each waits for twice as long as the one before
        driver.measured = True
        driver.until(driver.engine.next_deadline())
        driver.measured = False
        yield 1


def cancel(driver: Driver, size: int) -> Iterator[int]:
    """One of so many calls that run is cancelled."""
    pool = driver.open(min_containers=size, max_containers=size)
    driver.start_fleet()
    calls = [driver.call(pool) for _ in range(size)]
    while True:
        for number, call in enumerate(calls):
            driver.measured = True
            driver.say(m.CancelCall(call))
            driver.measured = False
            driver.answer_cancelled()
            calls[number] = driver.call(pool)
            yield 1


def cancel_map(driver: Driver, size: int) -> Iterator[int]:
    """A map is cancelled that has an input in each of so many containers; a unit is a container."""
    pool = driver.open(min_containers=size, max_containers=size)
    driver.start_fleet()
    call = driver.call(pool, 0, kind=CallKind.MAP, sealed=False)
    for first in range(0, size, SPAN):
        driver.put(call, min(SPAN, size - first))
    assert len(driver.delivered) == size, "an input for each container"
    driver.measured = True
    driver.say(m.CancelCall(call))
    yield len(driver.cancelled)
    while len(driver.cancelled) < size:
        before = len(driver.cancelled)
        driver.tick()
        yield len(driver.cancelled) - before


def resist(driver: Driver, size: int) -> Iterator[int]:
    """One cancelled input after another has not stopped within its grace; its container is killed and replaced."""
    pool = driver.open(min_containers=size, max_containers=size, timeout_s=80_000.0)
    driver.start_fleet()
    calls = [driver.call(pool) for _ in range(size)]
    for call in calls:
        driver.pass_time(APART_S)
        driver.say(m.CancelCall(call))
    for _ in range(size // 2):
        _until_killed(driver)
        driver.exits(driver.killed.popleft())
        driver.start()
        yield 1


ROWS = [
    Row(
        "serial-timeout",
        "report of a 10 ms input whose timeout is 1 s, ticks included",
        partial(saturated, service_s=0.01, timeout_s=1.0),
        CONTAINERS,
    ),
    Row("timeout", "a timeout in a pool of so many busy containers", timeout, SIZES),
    Row(
        "drain",
        "the end of a grace, of so many containers that were told to leave",
        drain,
        SIZES,
        {"exit_grace_s": GRACE_S},
    ),
    Row("startup", "the end of a startup timeout, of so many that are starting", startup, SIZES),
    Row("late", "a container that is overdue, and returns what it holds, of so many", late, CONTAINERS),
    Row("overdue", "a look at what is late in a pool of so many containers", overdue, SIZES),
    Row("cancel", "the cancellation of one of so many calls that run", cancel, SIZES),
    Row(
        "cancel-map",
        "each running input of a map that is cancelled, in so many containers",
        cancel_map,
        SIZES,
        is_total=True,
    ),
    Row("resist", "the end of a cancelled input's grace, of so many", resist, SIZES, {"cancel_grace_s": GRACE_S}),
]
