"""Async functions run on an event loop in their container; every blocking method has an `.aio` form for callers."""

import asyncio

import swell as modal

app = modal.App("async-functions")


@app.function()
async def double(x: int) -> int:
    await asyncio.sleep(0.1)
    return 2 * x


@app.local_entrypoint()
async def main():
    print("one:", await double.remote.aio(21))
    print("two at once:", await asyncio.gather(double.remote.aio(1), double.remote.aio(2)))
    print("many:", [result async for result in double.map.aio(range(5))])
