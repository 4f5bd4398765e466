"""A map over nodes that die and freeze: every input gives its result once, and nothing is left of any node."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from patience import wait_until

import swell

INPUTS = 1_000
EVERY = 300  #: results between two faults


def make_work() -> Callable[[int, str], int]:
    """Return a function that is sent as it is, since no node can import this module."""

    def work(number: int, runs: str) -> int:
        with open(runs, "ab", buffering=0) as file:
            file.write(f"{number}\n".encode())
        time.sleep(0.002)  # so that inputs are in progress when a node is lost
        return number * number

    return work


def agents() -> list[psutil.Process]:
    """Return the agents below this process that do not wait for their end."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "swell.agent.main" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=lambda fault: fault.name)
def test_each_input_gives_one_result_while_nodes_are_lost(
    fault: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_BACKEND", "agents")
    monkeypatch.setenv("SWELL_NODE_TIMEOUT_S", "0.5")
    app = swell.App("lossy")
    work = app.function(max_containers=4, serialized=True)(make_work())
    runs = tmp_path / "runs"
    hit: set[int] = set()
    results: list[int] = []
    with app.run():
        for result in work.map(range(INPUTS), kwargs={"runs": str(runs)}, order_outputs=False):
            results.append(result)
            if len(results) % EVERY == 0 and len(results) < INPUTS:
                victim = wait_until(lambda: [each for each in agents() if each.pid not in hit], "no node is left")[0]
                hit.add(victim.pid)
                os.kill(victim.pid, fault)
    assert len(hit) == (INPUTS - 1) // EVERY
    assert Counter(results) == Counter(number * number for number in range(INPUTS))
    assert set(map(int, runs.read_text().split())) == set(range(INPUTS))
