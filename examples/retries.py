"""A failed input is tried again, after a delay that grows; only the last failure would reach the caller."""

import tempfile
from pathlib import Path

import swell as modal

app = modal.App("retries")


@app.function(retries=modal.Retries(max_retries=3, initial_delay=1.0, backoff_coefficient=1.0))
def flaky(notes: str) -> str:
    with Path(notes).open("a") as file:
        file.write("tried\n")
    attempt = len(Path(notes).read_text().splitlines())
    if attempt < 3:
        raise ConnectionError(f"attempt {attempt} failed")
    return f"attempt {attempt} succeeded"


@app.local_entrypoint()
def main():
    with tempfile.TemporaryDirectory() as folder:
        print(flaky.remote(f"{folder}/notes.txt"))
