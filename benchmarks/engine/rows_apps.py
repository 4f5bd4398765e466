"""Rows: what it costs to open and close apps, and what the end of a client costs beside others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.engine.driver import Driver, function
from benchmarks.engine.measure import Row
from swell.engine.events import ClientGone
from swell.model import CallKind, Concurrency, WebSpec
from swell.wire import messages as m

FUNCTIONS = (100, 1_000, 3_000)
CLIENTS = (10, 100, 1_000, 10_000)
EACH = 10  #: containers of a function


def open_app(driver: Driver, size: int) -> Iterator[int]:
    """An app is opened whose functions have floors; a unit is a container that is asked for."""
    specs = [function(f"f{i}", min_containers=EACH) for i in range(size)]
    driver.measured = True
    driver.open_app(*specs)
    yield len(driver.requested)
    while len(driver.requested) < size * EACH:
        before = len(driver.requested)
        driver.tick()
        yield len(driver.requested) - before


def start_app(driver: Driver, size: int) -> Iterator[int]:
    """All containers of such an app check in; a unit is one."""
    driver.open_app(*[function(f"f{i}", min_containers=EACH) for i in range(size)])
    driver.pass_time()
    driver.measured = True
    while driver.requested:
        driver.check_in()
        yield 1


def close_app(driver: Driver, size: int) -> Iterator[int]:
    """Such an app is closed, and its containers leave; a unit is one."""
    driver.open_app(*[function(f"f{i}", min_containers=EACH) for i in range(size)])
    driver.start()
    driver.measured = True
    driver.say(m.CloseApp(2, "ap"))
    left = 0
    while left < size * EACH:
        if not driver.told_to_leave:
            driver.tick()
            continue
        driver.exits(driver.told_to_leave.popleft(), "left")
        left += 1
        yield 1
    assert not driver.engine.state.apps, "the app is gone"


def client_gone(driver: Driver, size: int) -> Iterator[int]:
    """One of so many clients goes, each of which has an app with a container and a call."""
    for client in range(size):
        _join(driver, client)
    for client in itertools.count():
        driver.measured = True
        driver.feed(ClientGone(client))
        driver.pass_time()
        while driver.told_to_leave:
            driver.exits(driver.told_to_leave.popleft(), "left")
        driver.measured = False
        while driver.killed:
            driver.exits(driver.killed.popleft())
        _join(driver, client + size)
        yield 1


def _join(driver: Driver, client: int) -> None:
    pool = driver.open(app=f"ap-{client}", client=client, min_containers=1)
    driver.start()
    driver.call(pool, client=client)
    driver.pass_time(0.001)


def client_gone_beside_leases(driver: Driver, size: int) -> Iterator[int]:
    """A client goes that has a call, beside a client with so many requests over HTTP."""
    web = function(
        "web", min_containers=10, max_containers=10, web=WebSpec("asgi"), concurrency=Concurrency(1_000, 1_000)
    )
    pools = driver.open_app(web, function("f", min_containers=1, concurrency=Concurrency(10, 10)))
    driver.start()
    for _ in range(size):
        driver.call(pools["web"], kind=CallKind.WEB, client=7)
    client = 7
    while True:
        client += 1
        driver.call(pools["f"], client=client)
        driver.measured = True
        driver.feed(ClientGone(client))
        driver.measured = False
        driver.answer_cancelled()
        yield 1


ROWS = [
    Row("open-app", "each container of an app of so many functions × 10, opened", open_app, FUNCTIONS, is_total=True),
    Row("start-app", "each check-in of an app of so many functions × 10", start_app, FUNCTIONS, is_total=True),
    Row(
        "close-app",
        "each container of an app of so many functions × 10, closed",
        close_app,
        FUNCTIONS,
        is_total=True,
    ),
    Row("client-gone", "the end of one of so many clients, each with an app and a call", client_gone, CLIENTS),
    Row("client-gone-leases", "the end of a client beside so many leases", client_gone_beside_leases, CLIENTS),
]
