"""`timeout` bounds each attempt of an input. What runs longer is stopped, and its caller gets FunctionTimeoutError."""

import time

import swell as modal

app = modal.App("timeouts")


@app.function(timeout=1)
def nap(seconds: float) -> str:
    time.sleep(seconds)
    return f"slept {seconds} s"


@app.local_entrypoint()
def main():
    print(nap.remote(0.1))
    try:
        nap.remote(60)
    except modal.exception.FunctionTimeoutError as error:
        print("stopped:", error)
