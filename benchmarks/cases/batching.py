"""No-op inputs through `@batched(max_batch_size=32)`: inputs a second, and how full the batches are."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

from benchmarks.case import Case, Measured, timed
from benchmarks.work import batch_sizes

BATCH_MAX = 32
WAIT_MS = 10


def _measured(took: float, sizes: list[int]) -> Measured:
    batches = sum(1 / size for size in sizes)  # each batch of n is reported n times
    return Measured(len(sizes) / took, {"mean batch": len(sizes) / batches, "inputs": len(sizes)})


def swell_batched(quick: bool) -> Measured:
    import swell

    app = swell.App("bench")
    batched = swell.batched(max_batch_size=BATCH_MAX, wait_ms=WAIT_MS)(batch_sizes)
    function = app.function(min_containers=2, max_containers=2)(batched)
    with app.run():
        list(function.map(range(1_000)))
        took, sizes = timed(lambda: list(function.map(range(10_000 if quick else 200_000))))
    return _measured(took, sizes)


def bare_queue(quick: bool) -> Measured:
    """The least it could cost: a queue and a batch former on one event loop, no other process."""
    inputs = 10_000 if quick else 100_000

    async def serve(queue: asyncio.Queue[tuple[int, asyncio.Future[int]]]) -> None:
        while True:
            batch = [await queue.get()]
            while len(batch) < BATCH_MAX and not queue.empty():
                batch.append(queue.get_nowait())
            for (_, answer), result in zip(batch, batch_sizes([x for x, _ in batch]), strict=True):
                answer.set_result(result)

    async def all_of_them() -> list[int]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        serving = loop.create_task(serve(queue))
        answers = [loop.create_future() for _ in range(inputs)]
        for x, answer in enumerate(answers):
            queue.put_nowait((x, answer))
        sizes = await asyncio.gather(*answers)
        serving.cancel()
        return sizes

    took, sizes = timed(lambda: asyncio.run(all_of_them()))
    return _measured(took, sizes)


def ray_serve(quick: bool) -> Measured:
    """Ray Serve's batching with two replicas, called through a handle, a thousand inputs outstanding."""
    import ray
    from ray import serve

    class Model:
        @serve.batch(max_batch_size=BATCH_MAX, batch_wait_timeout_s=WAIT_MS / 1e3)
        async def __call__(self, x: list[int]) -> list[int]:
            return batch_sizes(x)

    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        deployed = serve.deployment(num_replicas=2, max_ongoing_requests=1_000)(Model)
        handle = serve.run(deployed.bind())

        def many(inputs: int) -> list[int]:
            sizes: list[int] = []
            for start in range(0, inputs, 1_000):
                answers = [handle.remote(x) for x in range(start, min(start + 1_000, inputs))]
                sizes += [answer.result() for answer in answers]
            return sizes

        many(200)
        took, sizes = timed(lambda: many(1_000 if quick else 5_000))
    finally:
        serve.shutdown()
        ray.shutdown()
    return _measured(took, sizes)


CASE = Case(
    name="batching",
    title="no-op inputs through @batched(max_batch_size=32), 2 containers",
    unit="inputs/s",
    contestants={
        "swell": swell_batched,
        "bare asyncio queue": bare_queue,
        **({"Ray Serve": ray_serve} if find_spec("ray") and find_spec("starlette") else {}),
    },
    higher_is_better=True,
    floor="batches of 32 from a queue on one event loop, in one process",
    bare="bare asyncio queue",
)
