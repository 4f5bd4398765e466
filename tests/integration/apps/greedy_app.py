"""Functions that use more memory than they may, each in another way, and one that harms the processes around it."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import board

import swell

app = swell.App("greedy")

BOUNDED = (64, 128)
MAP_SHARED = "shared = mmap.mmap(-1, {size} << 20)\nfor _ in range({size}): shared.write(b'x' * (1 << 20))\n"


def fill_shared(size_mib: int) -> mmap.mmap:
    """Map memory that children would share, and write to all of it."""
    shared = mmap.mmap(-1, size_mib << 20)
    for _ in range(size_mib):
        shared.write(b"x" * (1 << 20))
    return shared


@app.function(memory=BOUNDED)
def maps(size_mib: int) -> int:
    """Use shared memory, which no limit of a process's own counts."""
    board.note("attempt")
    shared = fill_shared(size_mib)
    if size_mib > BOUNDED[1]:
        time.sleep(60)
    return len(shared) >> 20


@app.function(memory=BOUNDED, retries=swell.Retries(max_retries=2, initial_delay=0.0))
def maps_and_is_retried(size_mib: int) -> None:
    """Use as much each time."""
    board.note("attempt")
    shared = fill_shared(size_mib)
    time.sleep(60)
    shared.close()


@app.function(memory=BOUNDED)
def has_children(count: int, *, new_session: bool) -> None:
    """Start programs that each use less than the limit."""
    board.note("attempt")
    code = "import mmap, time\n" + MAP_SHARED.format(size=60) + "time.sleep(60)"
    children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=new_session) for _ in range(count)]
    board.note("pids", *(child.pid for child in children))
    time.sleep(60)


@app.function(memory=BOUNDED, max_containers=1)
@swell.concurrent(max_inputs=4)
def shares(x: int, greedy: int) -> int:
    """Run beside others in one container, of which one is greedy."""
    board.note(f"attempt-{x}")
    if x == greedy:
        board.wait_for("all there")
        held = fill_shared(200)
        time.sleep(60)
        held.close()
    if board.count_up("there") == 2:  # two were there before
        board.give("all there")
    while len(board.notes(f"attempt-{x}")) == 1:
        time.sleep(0.01)
    return x


@app.function(memory=BOUNDED)
def frees(size_mib: int) -> int:
    """Allocate too much in this process, and go on without it."""
    try:
        return len(bytearray(size_mib << 20))
    except MemoryError:
        return 0


def kill_templates() -> None:
    """Kill the parent of this process, again and again, for as long as that is a template: above are other programs."""
    is_template = True
    while is_template:
        parent = os.getppid()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # another input has killed it just before
            is_template = Path(f"/proc/{parent}/comm").read_text() == "swell-template\n"
            if is_template:
                os.kill(parent, signal.SIGKILL)
                board.note("killed", parent)
        while is_template and os.getppid() == parent:
            time.sleep(0.001)


@app.function(single_use_containers=True)
def kills_its_templates(x: int) -> int:
    """Kill the process that this one was forked from, and what it belongs to then."""
    kill_templates()
    return x


@app.function(single_use_containers=True, enable_memory_snapshot=True)
def kills_its_snapshot(x: int) -> int:
    """Do so where two templates are above."""
    kill_templates()
    return x


@app.function()
def stays(x: int) -> int:
    """Run until told to end."""
    board.note("stays", x, os.getpid())
    board.wait_for("end")
    return x


@app.function()
def new(x: int) -> int:
    """Run in a container that has yet to start."""
    return x
