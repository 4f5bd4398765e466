"""`order_outputs=False` yields every result as soon as it is there, instead of in the order of the inputs."""

import time

import swell as modal

app = modal.App("unordered")


@app.function()
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.local_entrypoint()
def main():
    naps = [0.6, 0.3, 0.0]
    print("in order:   ", list(nap.map(naps)))
    print("as they end:", list(nap.map(naps, order_outputs=False)))
