"""What must not type-check: every line that ends in `# wrong` is an error, and no other is. Never run."""

import swell
from swell import App

app = App("typed")
App(3)  # wrong
App(tags=["a"])  # wrong
app.function(max_container=3)  # wrong
app.function(min_containers="3")  # wrong
app.function(retries="3")  # wrong
app.function(gpu=1)  # wrong
app.function(secrets=["name"])  # wrong
app.function(timeout=None)  # wrong
app.function(image="debian")  # wrong
app.cls(name="x")  # wrong
app.cls(schedule=swell.Period(days=1))  # wrong
swell.batched(max_batch_size=3)  # wrong
swell.concurrent(max_inputs="3")  # wrong
swell.Retries(3)  # wrong
swell.Retries()  # wrong
swell.web_server("8000")  # wrong
_ = swell.nonsense  # wrong


@app.function
def forgot_parentheses() -> None: ...  # the error is told at the decorator above


@app.function()
def square(x: int) -> float:
    return float(x)


@app.function()
async def fetch(url: str) -> bytes:
    return url.encode()


@app.function()
@swell.batched(max_batch_size=3, wait_ms=1)  # wrong
def total(xs: list[int]) -> int:
    return sum(xs)


@app.cls()
class Model:
    @swell.method()
    def predict(self, x: int) -> str:
        self.predict(x)  # wrong
        return self.predict.remote(x)


square(3)  # wrong
square.remote("3")  # wrong
square.remote()  # wrong
square.remote(3, y=4)  # wrong
square.local("3")  # wrong
square.spawn("3")  # wrong
square.with_options(min_containers=3)  # wrong
square.with_concurrency()  # wrong
square.remote(3).upper()  # wrong
fetch.remote("u").upper().encode()  # wrong
Model().predict(3)  # wrong
Model().predict.remote("3")  # wrong
_ = Model().predict.remote(3).real  # wrong
_ = Model().nothing  # wrong


async def use() -> None:
    await square.remote(3)  # wrong
    await square.remote.aio("3")  # wrong
    (await square.remote.aio(3)).upper()  # wrong
