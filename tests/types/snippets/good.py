"""What must type-check, and come out as the types asserted here. Read by a type checker, never run."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import swell
from swell import App, FunctionCall, exception

app = App("typed", image=swell.Image.debian_slim().pip_install("numpy"), tags={"team": "a"})


@app.function(cpu=0.5, memory=(128, 256), gpu=["H100", "A100:2"], retries=swell.Retries(max_retries=3), timeout=60)
def square(x: int, *, scale: float = 1.0) -> float:
    return x * x * scale


@app.function(min_containers=1, env={"A": "1", "B": None}, schedule=None)
@swell.concurrent(max_inputs=100, target_inputs=80)
async def fetch(url: str) -> bytes:
    return url.encode()


@app.function()
@swell.batched(max_batch_size=8, wait_ms=10)
def embed(texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


@app.function()
@swell.batched(max_batch_size=8, wait_ms=10)
async def embed_async(texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


@app.function()
def count(n: int) -> Iterator[int]:
    yield from range(n)


@app.function()
async def count_async(n: int) -> AsyncIterator[int]:
    yield n


@app.function()
@swell.asgi_app(label="site")
def site() -> object: ...


@app.cls(enable_memory_snapshot=True)
@swell.concurrent(max_inputs=4)
class Model:
    size: str = swell.parameter(default="small")
    layers: int = swell.parameter()

    @swell.enter(snap=True)
    def load(self) -> None: ...

    @swell.exit()
    def unload(self) -> None: ...

    @swell.method()
    def predict(self, x: int) -> str:
        assert_type(self.size, str)
        assert_type(self.layers, int)
        assert_type(self.score.remote("a"), float)
        assert_type(self.score.object_id, str)
        return str(x)

    @swell.method()
    async def score(self, text: str) -> float:
        return len(text) / 2

    @swell.batched(max_batch_size=4, wait_ms=5)
    def many(self, xs: list[int]) -> list[str]:
        return [str(x) for x in xs]


@app.local_entrypoint()
def main(n: int = 3) -> None:
    assert_type(square.remote(n, scale=2.0), float)
    assert_type(square.local(n), float)
    assert_type(fetch.remote("u"), bytes)
    assert_type(embed.remote("text"), float)
    assert_type(embed_async.remote("text"), float)
    assert_type(square.spawn(3), FunctionCall[float])
    assert_type(square.spawn(3).get(timeout=5), float)
    assert_type(list(square.map(range(3))), list[float])
    assert_type(list(square.starmap([(1,)])), list[float])
    for item in count.remote_gen(3):
        print(item)
    assert_type(square.with_options(gpu="H100", timeout=5).remote(1, scale=3), float)
    assert_type(square.with_concurrency(max_inputs=3).remote(1), float)

    model = Model(layers=3)
    assert_type(model.predict.remote(1), str)
    assert_type(model.score.remote("a"), float)
    assert_type(model.many.remote(1), str)
    assert_type(model.size, str)
    assert_type(Model.with_options(cpu=2)(layers=1).predict.remote(3), str)
    assert_type(Model.with_concurrency(max_inputs=3)(layers=1).predict.remote(3), str)


async def use() -> None:
    assert_type(await square.remote.aio(3), float)
    assert_type(await Model(layers=1).score.remote.aio("a"), float)
    assert_type(await fetch.remote.aio("u"), bytes)
    async for value in square.map.aio(range(3)):
        assert_type(value, float)
    call = await square.spawn.aio(3)
    assert_type(call, FunctionCall[float])
    assert_type(await call.get.aio(), float)
    async with app.run() as running:
        assert_type(running, App)


def errors() -> None:
    try:
        main(n=3)
    except exception.ResourceExhausted as error:
        assert_type(error.limit, str)
        assert_type(error.retry_after_s, float | None)
    except swell.Error:
        pass
    with app.run():
        assert_type(swell.current_input_id(), str | None)
