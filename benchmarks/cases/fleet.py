"""From no container to a hundred, and to a thousand, that are ready; and what each costs in processor time and memory.

A floor is raised by the operator: all are wanted at once. A map is what a program does: nobody knows yet whether its
inputs compute or sleep, so starts wait for what the former ones do. Both have a template that is there already.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from benchmarks.case import Case, Measured, timed
from benchmarks.work import began, process_id

FLEET = 100
LARGE_FLEET = 1_000
LIGHT = {"cpu": 0.01, "memory": 8}  #: what a container asks for, so that a small machine takes a thousand


def swell_floor(count: int, quick: bool) -> Measured:
    """The floor of a pool is raised from 0 while it runs."""
    import swell

    app = swell.App("bench")
    function = app.function(**LIGHT)(process_id)
    first = app.function(name="first", max_containers=1)(process_id)
    with app.run():
        here = psutil.Process(first.remote())  # brings up the template, as any earlier call would have

        def rise() -> None:
            function.update_autoscaler(min_containers=count)
            while function.get_current_stats().input_headroom < count:
                time.sleep(0.005)

        took, costs = _with_costs(here, rise, count)
        siblings = [child.pid for child in here.parent().children() if child.pid != here.pid]
        each = [private_bytes(pid) for pid in siblings]
    assert len(each) == count
    return Measured(took, {"private MB each": sum(each) / len(each) / 1e6, **costs})


def swell_map(count: int, quick: bool) -> Measured:
    """A program maps inputs that sleep; it took until the last of them had begun."""
    import swell

    app = swell.App("bench")
    function = app.function(**LIGHT)(began)
    first = app.function(name="first", max_containers=1)(process_id)
    sleep_s = 1.0 if count == FLEET else 15.0  # longer than it takes: each has a container of its own
    with app.run():
        here = psutil.Process(first.remote())
        times: list[float] = []
        started = time.monotonic()
        _, costs = _with_costs(here, lambda: times.extend(function.map([sleep_s] * count, order_outputs=False)), count)
    times = sorted(moment - started for moment in times)
    return Measured(times[-1], {"s until half": times[count // 2], **costs})


def bare_fork(count: int, quick: bool) -> Measured:
    """The least it could cost: this program forks as often, and each child says that it lives."""
    read, write = os.pipe()
    children: list[int] = []

    def fork_all() -> None:
        for _ in range(count):
            if not (pid := os.fork()):
                os.write(write, b".")
                time.sleep(60)
                os._exit(0)
            children.append(pid)
        arrived = 0
        while arrived < count:
            arrived += len(os.read(read, count))

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


def _with_costs(container: psutil.Process, run: Callable[[], object], count: int) -> tuple[float, dict[str, float]]:
    """Run something; return how long it took, and what of the processor it cost the server and the template."""
    template = container.parent()
    both = {"server": template.parent(), "template": template}
    before = {name: _cpu_s(process) for name, process in both.items()}
    took, _ = timed(run)
    spent = {name: _cpu_s(process) - before[name] for name, process in both.items()}
    return took, {f"{name} CPU ms each": seconds / count * 1e3 for name, seconds in spent.items()}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


CASE = Case(
    name="fleet",
    title="from 0 to 100 containers ready",
    unit="s",
    contestants={"swell": partial(swell_floor, FLEET), "bare os.fork": partial(bare_fork, FLEET)},
    floor="as many forks, and a byte from each child",
    bare="bare os.fork",
    target="at most 0.6 s",
    meets=lambda values: values["swell"] <= 0.6,
)

BY_MAP = Case(
    name="fleet-map",
    title="from 0 to 100 containers, by a map whose inputs sleep: until the last has begun",
    unit="s",
    contestants={"swell": partial(swell_map, FLEET), "bare os.fork": partial(bare_fork, FLEET)},
    floor="as many forks, and a byte from each child",
    bare="bare os.fork",
    target="at most 0.6 s",
    meets=lambda values: values["swell"] <= 0.6,
)

LARGE = Case(
    name="fleet-1000",
    title="from 0 to 1,000 light containers ready",
    unit="s",
    contestants={
        "swell": partial(swell_floor, LARGE_FLEET),
        "swell, by a map": partial(swell_map, LARGE_FLEET),
        "bare os.fork": partial(bare_fork, LARGE_FLEET),
    },
    floor="as many forks, and a byte from each child",
    bare="bare os.fork",
    target="at most 6 s",
    meets=lambda values: max(values["swell"], values["swell, by a map"]) <= 6.0,
)
