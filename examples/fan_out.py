"""Fan out over 10,000 inputs: `map` runs them on as many containers as help, and yields the results in order."""

import swell as modal

app = modal.App("fan-out")


@app.function()
def square(x: int) -> int:
    return x * x


@app.local_entrypoint()
def main():
    total = 0
    for result in square.map(range(10_000)):
        total += result
    print(f"The sum of the first 10,000 squares is {total:,}")
