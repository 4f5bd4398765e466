"""The same FastAPI app under uvicorn alone, and through swell's edge to a container; 64 kept connections.

The edge is not the only difference: every request is an input, which the server counts and gives its slot. What sends
the requests is a third process (a fourth, with the server), on the same two cores.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec

from benchmarks.case import Case, Measured

CONNECTIONS = 64
LIMITS_OFF = {"SWELL_WEB_RATE": "1e9", "SWELL_WEB_PORT": "0", "SWELL_ADMIN_PORT": "0", "SWELL_SERVER": "private"}
PATIENCE_S = 60.0

RAY_SERVE = """
import time
from ray import init, serve
from fastapi import FastAPI
import sys

site = FastAPI()

@serve.deployment(max_ongoing_requests=100)
@serve.ingress(site)
class Site:
    @site.get("/")
    async def root(self):
        return {"hello": "world"}

init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[1])})
serve.run(Site.bind())
while True:
    time.sleep(1)
"""


# ---------------------------------------------------------------- who serves


@contextmanager
def through_swell() -> Iterator[str]:
    """Serve from one container."""
    import swell

    os.environ |= LIMITS_OFF
    app = swell.App("bench")

    @app.function(min_containers=1, max_containers=1, serialized=True)
    @swell.concurrent(max_inputs=100)
    @swell.asgi_app()
    def site() -> object:
        from benchmarks.site import app

        return app

    with app.run():
        url = site.get_web_url()
        assert url
        yield f"{url}/"


@contextmanager
def bare_uvicorn() -> Iterator[str]:
    """Serve from a process of uvicorn's."""
    port = _free_port()
    yield from _served_by([sys.executable, "-m", "uvicorn", "benchmarks.site:app", f"--port={port}", *_QUIET], port)


@contextmanager
def ray_serve() -> Iterator[str]:
    """Serve from one replica of Ray Serve."""
    port = _free_port()
    yield from _served_by([sys.executable, "-c", RAY_SERVE, str(port)], port)


_QUIET = ("--log-level=error", "--no-access-log")


def _served_by(command: list[str], port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}/"
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_it_answers(url)
        yield url
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_until_it_answers(url: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


# ---------------------------------------------------------------- what is measured


def traffic(url: str, *, seconds: float, rate: float = 0.0, connections: int = CONNECTIONS) -> dict[str, float]:
    """Send requests from a process of its own; return what it tells."""
    command = [sys.executable, "-m", "benchmarks.traffic", url, f"--connections={connections}", f"--seconds={seconds}"]
    done = subprocess.run([*command, f"--rate={rate}"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert not told["failures"], told
    return told


def throughput(served, quick: bool) -> Measured:
    with served() as url:
        traffic(url, seconds=0.5)
        told = traffic(url, seconds=1.0 if quick else 5.0)
    return Measured(told["rate"], {"p50 ms": told["p50_ms"], "p99 ms": told["p99_ms"]})


def latency(quick: bool) -> Measured:
    """Measure both at half of what goes through swell."""
    seconds = 1.0 if quick else 5.0
    with through_swell() as url:
        rate = traffic(url, seconds=seconds)["rate"] / 2
        ours = traffic(url, seconds=seconds, rate=rate)
    with bare_uvicorn() as url:
        traffic(url, seconds=0.5)
        theirs = traffic(url, seconds=seconds, rate=rate)
    details = {
        "requests/s": rate,
        "p50 ms": ours["p50_ms"],
        "p99 ms": ours["p99_ms"],
        "uvicorn p50 ms": theirs["p50_ms"],
        "uvicorn p99 ms": theirs["p99_ms"],
    }
    return Measured(ours["p99_ms"] - theirs["p99_ms"], details)


def from_zero(quick: bool) -> Measured:
    """Ask for a site that has no container, of an app without imports of its own."""
    import swell

    os.environ |= LIMITS_OFF
    app = swell.App("bench")

    @app.function(scaledown_window=2, serialized=True)
    @swell.asgi_app()
    def site() -> object:
        async def hello(scope, receive, send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"hi"})

        return hello

    times: list[float] = []
    with app.run():
        url = site.get_web_url()
        assert url
        for _ in range(2 if quick else 7):
            began = time.perf_counter()
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                times.append((time.perf_counter() - began) * 1e3)
                assert answer.read() == b"hi"
            while site.get_current_stats().num_total_runners:
                time.sleep(0.1)
    return Measured(statistics.median(times), {"first": times[0], "slowest": max(times)})


THROUGHPUT = Case(
    name="web",
    title=f"requests to a FastAPI app, {CONNECTIONS} connections",
    unit="requests/s",
    contestants={
        "swell": partial(throughput, through_swell),
        "uvicorn alone": partial(throughput, bare_uvicorn),
        **({"Ray Serve": partial(throughput, ray_serve)} if find_spec("ray") else {}),
    },
    higher_is_better=True,
    target="at least 1/3 of uvicorn alone",
    floor="the app itself under uvicorn, in one process; swell adds a hop, its heads parsed twice",
    bare="uvicorn alone",
    meets=lambda values: values["swell"] >= values["uvicorn alone"] / 3,
)
LATENCY = Case(
    name="web-latency",
    title="p99 that the edge adds to the same app at half of its load",
    unit="ms",
    contestants={"swell": latency},
    target="at most 5 ms",
    floor="0: what is measured is what uvicorn alone does not take; a hop has two wake-ups",
    meets=lambda values: values["swell"] <= 5,
)
FROM_ZERO = Case(
    name="web-from-zero",
    title="request to a site without a container, to the first byte, p50",
    unit="ms",
    contestants={"swell": from_zero},
    target="at most 100 ms and the user's imports",
    floor="a fork, and the import of the app where no snapshot has it",
    meets=lambda values: values["swell"] <= 100,
    rounds=1,
)
