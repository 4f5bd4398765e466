"""Functions whose calls go straight to their containers, once they were called a few times."""

from __future__ import annotations

import os
import signal
import time

import board

import swell

app = swell.App("direct")


def act(what: str, x: object) -> object:
    """Do what a test wants of a call, and return x."""
    board.note("ran", x, os.getpid())
    if what == "wait":
        board.wait_for(f"go-{x}")
    elif what == "fail":
        raise ValueError(x)
    elif what == "die" or (what == "die once" and board.count_up(f"died-{x}") == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        board.note("hangs", x)
        time.sleep(10_000)
    return x


# Each value of `key` has a pool of its own, which has not learned from other tests that its calls take long.


@app.cls(max_containers=1)
class Alone:
    key: str = swell.parameter(default="")

    @swell.method()
    def act(self, what: str, x: object) -> object:
        return act(what, x)


@app.cls(max_containers=2)
class Pair:
    key: str = swell.parameter(default="")

    @swell.method()
    def act(self, what: str, x: object) -> object:
        return act(what, x)


@app.cls(max_containers=1, retries=swell.Retries(max_retries=2, initial_delay=0.05, backoff_coefficient=1.0))
class Retried:
    key: str = swell.parameter(default="")

    @swell.method()
    def act(self, what: str, x: object) -> object:
        if what == "fail twice":
            board.note("attempt", x)
            if board.count_up(f"failed-{x}") < 2:
                raise ValueError(x)
            return x
        return act(what, x)


@app.cls(max_containers=1, timeout=1)
class Hasty:
    key: str = swell.parameter(default="")

    @swell.method()
    def act(self, what: str, x: object) -> object:
        return act(what, x)


@app.function(max_containers=1)
def identity() -> tuple[str | None, str | None]:
    return swell.current_function_call_id(), swell.current_input_id()


@app.function(max_containers=1)
def big(size: int) -> bytes:
    return b"x" * size


@app.function(max_containers=1)
def measure(data: bytes) -> int:
    return len(data)


@app.function(max_containers=1)
def outer(x: int, depth: int = 1) -> int:
    """Call another function again and again, and for a depth itself."""
    return sum(inner.remote(x) for _ in range(50)) + (outer.remote(x, depth - 1) if depth > 1 else 0)


@app.function(max_containers=1)
def inner(x: int) -> int:
    return x


@app.cls(max_containers=1)
class Counter:
    start: int = swell.parameter(default=0)

    @swell.method()
    def add(self, x: int) -> int:
        return self.start + x

    @swell.method()
    def twice(self, x: int) -> int:
        return 2 * (self.start + x)


@app.function(max_containers=1, scaledown_window=2)
def brief(x: int) -> int:
    return os.getpid() + 0 * x
