"""From no container to the first result, with everything else running: what scaling to zero costs the next caller."""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.bare import forked_call
from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.work import increment


def swell_containers(quick: bool) -> Measured:
    """One pool after another goes from zero to one container."""
    import swell

    app = swell.App("bench")
    handles = [app.function(name=f"f{i}", max_containers=1)(increment) for i in range(6 if quick else 40)]
    with app.run():
        handles[0].remote(0)  # brings up the template, as any earlier call would have
        times = [timed(lambda handle=handle: handle.remote(1))[0] * 1e3 for handle in handles[1:]]
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


def process_pool(quick: bool) -> Measured:
    """A new executor with one process; Linux forks it from this program, imports and all."""
    from concurrent.futures import ProcessPoolExecutor

    times: list[float] = []
    for _ in range(6 if quick else 40):
        executor = ProcessPoolExecutor(1)
        times.append(timed(lambda executor=executor: executor.submit(increment, 1).result())[0] * 1e3)
        executor.shutdown()
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


def loky_executor(quick: bool) -> Measured:
    """A new loky executor with one process."""
    from loky import ProcessPoolExecutor

    times: list[float] = []
    for _ in range(3 if quick else 10):
        executor = ProcessPoolExecutor(1)
        times.append(timed(lambda executor=executor: executor.submit(increment, 1).result())[0] * 1e3)
        executor.shutdown()
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


def ray_actor(quick: bool) -> Measured:
    """A new actor on a running Ray."""
    import ray

    class Runner:
        def run(self, x: int) -> int:
            return increment(x)

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=0)(Runner)
        ray.get(remote.remote().run.remote(0))
        times = [timed(lambda: ray.get(remote.remote().run.remote(1)))[0] * 1e3 for _ in range(3 if quick else 10)]
    finally:
        ray.shutdown()
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


CASE = Case(
    name="first-result",
    title="from zero containers to the first result, p50",
    unit="ms",
    contestants={
        "swell": swell_containers,
        "ProcessPoolExecutor": process_pool,
        "bare fork and call": forked_call,
        **({"loky": loky_executor} if find_spec("loky") else {}),
        **({"Ray actors": ray_actor} if find_spec("ray") else {}),
    },
    target="at most 25 ms",
    floor="a fork, an argument to the child and its result back",
    bare="bare fork and call",
    meets=lambda values: values["swell"] <= 25,
)
