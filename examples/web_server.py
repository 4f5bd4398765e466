"""Any program that listens on a port can answer: the function starts it and returns. Here it is Python's own server."""

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

import swell as modal

app = modal.App("web-server")
PORT = 8123


@app.function()
@modal.concurrent(max_inputs=10)
@modal.web_server(PORT, startup_timeout=20)
def files():
    folder = Path(tempfile.mkdtemp())
    (folder / "hello.txt").write_text("Hello from a file!")
    subprocess.Popen([sys.executable, "-m", "http.server", str(PORT), "--directory", str(folder)])


@app.local_entrypoint()
def main():
    with urlopen(f"{files.get_web_url()}/hello.txt") as answer:
        print(answer.read().decode())
