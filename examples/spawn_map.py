"""`spawn_map` starts one call with many inputs and returns at once; results are fetched when they are wanted."""

import swell as modal

app = modal.App("spawn-map")


@app.function()
def cube(x: int) -> int:
    return x**3


@app.local_entrypoint()
def main():
    call = cube.spawn_map(range(1_000))
    print(f"{call.num_inputs()} inputs are on their way")
    print("one of them:", call.get(index=10))
    print("the last three:", list(call.iter(start=997)))
