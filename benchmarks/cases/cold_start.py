"""From nothing at all to a printed result: the whole life of a small program, as typed on a command line."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bare import interpreter
from benchmarks.case import Case, Measured, percentile, timed

HELLO = Path(__file__).resolve().parent.parent.parent / "examples" / "hello.py"

PROCESS_POOL = """
from concurrent.futures import ProcessPoolExecutor

def greet(name):
    return f"Hello, {name}!"

if __name__ == "__main__":
    with ProcessPoolExecutor(1) as executor:
        print(executor.submit(greet, "world").result())
"""

RAY = """
import ray

@ray.remote
def greet(name):
    return f"Hello, {name}!"

ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
print(ray.get(greet.remote("world")))
"""


def swell_run(quick: bool) -> Measured:
    return whole([str(Path(sys.executable).with_name("swell")), "run", str(HELLO)], 3 if quick else 10)


def script(text: str, quick: bool) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hello.py")
        path.write_text(text)
        return whole([sys.executable, str(path)], 1 if quick else 5)


def whole(command: list[str], times: int) -> Measured:
    """Run a command so many times from start to exit; the value is the median in seconds."""

    def run() -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "Hello, world!" in run()
    return Measured(percentile([timed(run)[0] for _ in range(times)], 0.5), {"runs": times})


CASE = Case(
    name="cold-start",
    title="`swell run hello.py` with nothing running, start to exit, p50",
    unit="s",
    contestants={
        "swell": swell_run,
        "ProcessPoolExecutor": partial(script, PROCESS_POOL),
        "bare interpreter": partial(interpreter, "print('Hello, world!')"),
        **({"Ray": partial(script, RAY)} if find_spec("ray") else {}),
    },
    target="at most 0.8 s",
    floor="one interpreter that starts and ends; swell has three: the command, the server and the template",
    bare="bare interpreter",
    meets=lambda values: values["swell"] <= 0.8,
    rounds=1,
)
