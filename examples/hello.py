"""The smallest app: one function, called once in a container. Run it with `swell run examples/hello.py`."""

import swell as modal

app = modal.App("hello")


@app.function()
def greet(name: str) -> str:
    return f"Hello, {name}!"


@app.local_entrypoint()
def main(name: str = "world"):
    print(greet.remote(name))
