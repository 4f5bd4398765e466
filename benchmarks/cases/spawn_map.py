"""A million inputs left with a daemon: how long until they are accepted, and its memory meanwhile."""

from __future__ import annotations

from benchmarks.case import Case, Measured, timed
from benchmarks.daemon import Daemon
from benchmarks.work import increment


def swell_million(quick: bool) -> Measured:
    """Two containers execute them as they come in."""
    count = 100_000 if quick else 1_000_000
    with Daemon() as server:
        function = server.deploy(increment, containers=2)
        function.spawn(1).get()
        took, call = timed(lambda: function.spawn_map(range(count)))
        assert call.num_inputs() == count
        details = {
            "server MB": server.memory_max_bytes() / 1e6,
            "inputs": count,
            "done meanwhile": count - function.get_current_stats().backlog,
        }
        call.cancel()
    return Measured(took, details)


CASE = Case(
    name="spawn-map",
    title="spawn_map of 1,000,000 no-op inputs, until accepted",
    unit="s",
    contestants={"swell": swell_million},
    target="at most 15 s, and 500 MB of memory in the server",
    floor="a million arguments pickled one by one, about 1 s, and written in spans",
    meets=lambda values: values["swell"] <= 15 and values["swell: server MB"] <= 500,
    rounds=2,
)
