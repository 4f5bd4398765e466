"""Classes and functions whose containers are forked from a snapshot, or cannot be. Loading this takes a while."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from pathlib import Path

import board

import swell
import swell.linux as linux

LOADING_S = 0.4

if not swell.is_local():
    board.note("import", os.environ["SWELL_RUN_DIR"])
    time.sleep(LOADING_S)
    LARGE = b"\1" * (200 << 20)

app = swell.App("snapshots")


def node() -> str:
    """What tells one node from another: where its agent keeps what it has. On one machine that is the server's."""
    return os.environ["SWELL_RUN_DIR"]


def note_process() -> None:
    """Note which process this is; its number alone may be given to another one."""
    board.note("process", os.getpid(), linux.begun_at(os.getpid()))


def private_bytes() -> int:
    """Memory that this process shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


@app.function(enable_memory_snapshot=True, single_use_containers=True)
def forked() -> tuple[int, int, float, str]:
    return os.getpid(), private_bytes(), random.random(), node()


@app.cls(enable_memory_snapshot=True, single_use_containers=True)
class Snapped:
    size: str = swell.parameter(default="small")

    @swell.enter()
    def after(self) -> None:
        board.note("hook", "after", self.size, os.getpid())

    @swell.enter(snap=True)
    def before(self) -> None:
        self.loaded_in = os.getpid()
        board.note("hook", "before", self.size, self.loaded_in)

    @swell.method()
    def run(self) -> tuple[int, int, str]:
        return self.loaded_in, os.getpid(), node()

    @swell.exit()
    def close(self) -> None:
        board.note("exit", os.getpid())


@app.cls(enable_memory_snapshot=True, single_use_containers=True)
class WithThread:
    @swell.enter(snap=True)
    def before(self) -> None:
        self.loaded_in = os.getpid()
        note_process()
        self.is_over = threading.Event()
        threading.Thread(target=self.is_over.wait, name="in-the-background").start()

    @swell.method()
    def run(self) -> tuple[bool, str]:
        return self.loaded_in == os.getpid(), node()

    @swell.exit()
    def end(self) -> None:
        self.is_over.set()


@app.cls(enable_memory_snapshot=True, single_use_containers=True)
class WithLoop:
    @swell.enter(snap=True)
    def before(self) -> None:
        self.loaded_in = os.getpid()
        note_process()
        self.loop = asyncio.new_event_loop()

    @swell.method()
    def run(self) -> tuple[bool, str]:
        return self.loaded_in == os.getpid(), node()


@app.cls(enable_memory_snapshot=True)
class Broken:
    @swell.enter(snap=True)
    def before(self) -> None:
        raise LookupError("no weights", 3)

    @swell.method()
    def run(self) -> None: ...


GENERATORS = (random.Random(), random.Random(3))


@app.function(enable_memory_snapshot=True, single_use_containers=True)
def draws() -> tuple[float, float]:
    """What a generator gives that nobody seeded, and one that was."""
    return GENERATORS[0].random(), GENERATORS[1].random()
