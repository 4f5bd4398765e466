"""From no container to a hundred that are ready, and what each of them costs in memory of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from benchmarks.case import Case, Measured, timed
from benchmarks.work import process_id

FLEET = 100


def swell_floor(quick: bool) -> Measured:
    """The floor of a pool is raised from 0 to 100 while it runs."""
    import swell

    app = swell.App("bench")
    function = app.function()(process_id)
    first = app.function(name="first", max_containers=1)(process_id)
    with app.run():
        here = psutil.Process(first.remote())  # brings up the template, as any earlier call would have
        started = time.perf_counter()
        function.update_autoscaler(min_containers=FLEET)
        while function.get_current_stats().input_headroom < FLEET:
            time.sleep(0.005)
        took = time.perf_counter() - started
        siblings = [child.pid for child in here.parent().children() if child.pid != here.pid]
        each = [private_bytes(pid) for pid in siblings]
    assert len(each) == FLEET
    return Measured(took, {"private MB each": sum(each) / len(each) / 1e6})


def bare_fork(quick: bool) -> Measured:
    """The least it could cost: this program forks a hundred times, and each child says that it lives."""
    read, write = os.pipe()
    children: list[int] = []

    def fork_all() -> None:
        for _ in range(FLEET):
            if not (pid := os.fork()):
                os.write(write, b".")
                time.sleep(60)
                os._exit(0)
            children.append(pid)
        arrived = 0
        while arrived < FLEET:
            arrived += len(os.read(read, FLEET))

    took, _ = timed(fork_all)
    each = [private_bytes(pid) for pid in children]
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return Measured(took, {"private MB each": sum(each) / len(each) / 1e6})


def private_bytes(pid: int) -> int:
    """Return the memory that this process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


CASE = Case(
    name="fleet",
    title="from 0 to 100 containers ready",
    unit="s",
    contestants={"swell": swell_floor, "bare os.fork": bare_fork},
    target="at most 0.6 s",
    meets=lambda values: values["swell"] <= 0.6,
)
