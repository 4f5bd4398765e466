"""`@batched` collects single calls into lists: callers pass and get one value, the body sees many at a time."""

import swell as modal

app = modal.App("batched")


@app.function()
@modal.batched(max_batch_size=8, wait_ms=50)
def square(x: list[int]) -> list[int]:
    print(f"a batch of {len(x)}")
    return [value * value for value in x]


@app.local_entrypoint()
def main():
    print(list(square.map(range(20))))
