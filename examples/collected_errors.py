"""`return_exceptions=True` puts an exception in the place of the result it prevented, and the map goes on."""

import swell as modal

app = modal.App("collected-errors")


@app.function()
def invert(x: int) -> float:
    return 1 / x


@app.local_entrypoint()
def main():
    for x, result in enumerate(invert.map(range(4), return_exceptions=True)):
        if isinstance(result, ZeroDivisionError):
            print(f"{x}: failed with {result!r}")
        else:
            print(f"{x}: {result:.2f}")
