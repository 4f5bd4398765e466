"""A generator function streams what it yields, while it runs; a consumer that lags behind slows it down."""

from collections.abc import Iterator

import swell as modal

app = modal.App("generators")


@app.function()
def countdown(start: int) -> Iterator[str]:
    for n in range(start, 0, -1):
        yield f"{n}…"
    yield "lift-off!"


@app.local_entrypoint()
def main():
    for line in countdown.remote_gen(3):
        print(line)
