"""A server is killed where a million inputs wait, and another started: when is the first of them executed?"""

from __future__ import annotations

import time
from functools import partial

from benchmarks.bare import interpreter
from benchmarks.case import Case, Measured
from benchmarks.daemon import Daemon
from benchmarks.work import first_after_start


def swell_restart(quick: bool) -> Measured:
    """From `swell start` to the moment that an input sees in its container."""
    count = 100_000 if quick else 1_000_000
    with Daemon() as server:
        function = server.deploy(first_after_start, containers=2)
        gate = server.data_dir / "gate"
        function.spawn_map(str(gate) for _ in range(count))
        server.kill()
        gate.touch()
        began = time.time()
        server.start()
        up = time.time()
        first = gate.with_suffix(".first")
        while not first.exists():
            time.sleep(0.005)
        moment = float(first.read_text())
        details = {"heard after s": up - began, "server MB": server.memory_max_bytes() / 1e6, "inputs": count}
    return Measured(moment - began, details)


CASE = Case(
    name="restart",
    title="`swell start` where 1,000,000 inputs wait, to the first of them in its container",
    unit="s",
    contestants={
        "swell": swell_restart,
        "bare import of the server": partial(interpreter, "import swell.server.main"),
    },
    target="at most 3 s",
    floor="an interpreter that imports the server; after it come the template, the database and a container",
    bare="bare import of the server",
    meets=lambda values: values["swell"] <= 3,
    rounds=2,
)
