"""`spawn` starts a call and returns at once; its result is fetched later, here or in another process, by its id."""

import time

import swell as modal

app = modal.App("spawn")


@app.function()
def slow_square(x: int) -> int:
    time.sleep(0.5)
    return x * x


@app.local_entrypoint()
def main():
    call = slow_square.spawn(7)
    try:
        call.get(timeout=0)
    except TimeoutError:
        print("not ready yet")
    print("ready:", call.get())

    same_call = modal.FunctionCall.from_id(call.object_id)
    print("again, by id:", same_call.get())
