"""A node is drained while containers work on it: nothing is lost, and the floor is kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import wait_until

import swell
from swell.sdk.connection.blocking import run_blocking
from swell.wire.message import Message
from swell.wire.messages import Done
from swell.wire.queries import DrainNode
from swell.wire.stats import Observation, Observe

INPUTS = 600
FLOOR = 3


def make_work() -> Callable[[int, str], int]:
    """Return a function that is sent as it is, since no node can import this module."""

    def work(number: int, runs: str) -> int:
        with open(runs, "ab", buffering=0) as file:
            file.write(f"{number}\n".encode())
        time.sleep(0.005)  # so that inputs are in progress when the node is drained
        return number * number

    return work


class Watch:
    """What the server of an App says of its nodes and containers, over a connection of its own."""

    def __init__(self, app: swell.App) -> None:
        assert app.session is not None
        self._link = app.session.client.blocking_link()

    def ask(self, make: Callable[[int], Message]) -> Message:
        number = self._link.next_request()
        return run_blocking(self._link.request(number, make(number)))[0]

    def seen(self) -> Observation:
        found = self.ask(Observe)
        assert isinstance(found, Observation)
        return found

    def ready(self) -> int:
        return sum(row.observed for row in self.seen().functions)


def test_a_node_is_drained_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWELL_BACKEND", "agents")
    monkeypatch.setenv("SWELL_AGENTS", "3")
    app = swell.App("moving")
    work = app.function(min_containers=FLOOR, max_containers=2 * FLOOR, serialized=True)(make_work())
    runs, results, least = tmp_path / "runs", list[int](), list[int]()
    with app.run():
        watch = Watch(app)
        placed = wait_until(
            lambda: (
                (nodes := {row.node for row in watch.seen().containers if row.state == "ready"})
                and len(nodes) == FLOOR
                and nodes
            ),
            "the floor is not spread",
        )
        victim = min(placed)
        is_over = threading.Event()

        def look() -> None:
            mine = Watch(app)
            while not is_over.wait(0.001):
                least.append(mine.ready())

        looker = threading.Thread(target=look)
        looker.start()
        try:
            for result in work.map(range(INPUTS), kwargs={"runs": str(runs)}, order_outputs=False):
                results.append(result)
                if len(results) == INPUTS // 6:
                    assert isinstance(watch.ask(lambda number: DrainNode(number, victim)), Done)
            drained = wait_until(
                lambda: [row for row in watch.seen().nodes if row.state == "drained"], "it is never empty"
            )
        finally:
            is_over.set()
            looker.join()
        assert [row.name for row in drained] == [victim]
        assert not [row for row in watch.seen().containers if row.node == victim]
        assert min(least) >= FLOOR
    assert Counter(results) == Counter(number * number for number in range(INPUTS))
    assert Counter(map(int, runs.read_text().split())) == Counter(range(INPUTS)), "something ran twice"
