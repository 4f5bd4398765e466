"""A function that answers HTTP: its parameters come from the query, what it returns is sent as JSON. Needs FastAPI.

`swell serve examples/web_endpoint.py` keeps it up, for a browser; /docs describes it.
"""

import json
from urllib.request import urlopen

import swell as modal

app = modal.App("web-endpoint")


@app.function()
@modal.fastapi_endpoint(docs=True)
def add(x: int, y: int = 1):
    return {"sum": x + y}


@app.local_entrypoint()
def main():
    url = add.get_web_url()
    with urlopen(f"{url}/?x=40&y=2") as answer:
        print("the sum is", json.load(answer)["sum"])
