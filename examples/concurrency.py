"""`@concurrent` lets one container run many inputs at once: tasks for async functions, threads for others."""

import asyncio
import os
import time

import swell as modal

app = modal.App("concurrency")


@app.function(max_containers=1)
@modal.concurrent(max_inputs=100)
async def fetch(page: int) -> int:
    await asyncio.sleep(0.2)  # stands for waiting on a network
    return os.getpid()


@app.local_entrypoint()
def main():
    fetch.remote(0)  # the container is up
    started = time.perf_counter()
    containers = set(fetch.map(range(100)))
    print(f"100 inputs of 0.2 s in {len(containers)} container: {time.perf_counter() - started:.1f} s")
