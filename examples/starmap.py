"""`starmap` is `map` for functions of several arguments: each input is a tuple of them."""

import swell as modal

app = modal.App("starmap")


@app.function()
def add(a: int, b: int) -> int:
    return a + b


@app.local_entrypoint()
def main():
    print(list(add.starmap([(1, 2), (3, 4), (5, 6)])))
