"""The least that work in other processes could cost: pipes and forks, and nothing that survives a lost process.

No bookkeeping, no errors, no containers: what no program can go below that runs functions in other processes. Nothing
of swell is used here.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.case import Measured, latency, percentile, timed
from benchmarks.work import increment

RUN = 100  #: inputs in one message
HEAD = 4  #: bytes that tell how many follow
AHEAD = 4  #: messages that a process may have before it has answered


@contextmanager
def worker(function: Callable[[Any], Any]) -> Iterator[socket.socket]:
    """Yield a socket to a forked process; it answers a message, a list of pickled arguments, with one of results."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        try:
            ours.close()
            while (message := receive(theirs)) is not None:
                answers = [pickle.dumps(function(pickle.loads(each)), 5) for each in pickle.loads(message)]
                send(theirs, pickle.dumps(answers, 5))
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        os.waitpid(pid, 0)


def send(peer: socket.socket, message: bytes) -> None:
    """Send a message, and how long it is."""
    peer.sendall(len(message).to_bytes(HEAD, "little") + message)


def receive(peer: socket.socket) -> bytes | None:
    """Return the next message; None at the end."""
    head = peer.recv(HEAD, socket.MSG_WAITALL)
    return peer.recv(int.from_bytes(head, "little"), socket.MSG_WAITALL) if len(head) == HEAD else None


def piped_map(quick: bool) -> Measured:
    """Each input pickled on its own, a hundred in a message, two processes in turn: the work of a map, and no more."""
    count = 50_000 if quick else 500_000
    runs = [range(first, first + RUN) for first in range(0, count, RUN)]
    results: list[int] = []

    def take(peer: socket.socket) -> None:
        results.extend(pickle.loads(each) for each in pickle.loads(receive(peer) or b""))

    def run_all(peers: Sequence[socket.socket]) -> None:
        ahead = AHEAD * len(peers)
        for number in range(len(runs) + ahead):
            peer = peers[number % len(peers)]
            if number >= ahead:
                take(peer)
            if number < len(runs):
                send(peer, pickle.dumps([pickle.dumps(x, 5) for x in runs[number]], 5))

    with worker(increment) as first, worker(increment) as second:
        took, _ = timed(lambda: run_all((first, second)))
    assert results == list(range(1, count + 1))
    return Measured(count / took, {"inputs": count})


def relayed_call(quick: bool) -> Measured:
    """One input at a time to a process and back, through a third that only passes it on: four wake-ups."""
    with worker(increment) as behind:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if not pid:
            try:
                ours.close()
                while (message := receive(theirs)) is not None:
                    send(behind, message)
                    send(theirs, receive(behind) or b"")
            finally:
                os._exit(0)
        theirs.close()

        def call() -> None:
            send(ours, pickle.dumps([pickle.dumps(1, 5)], 5))
            receive(ours)

        measured = latency(call, count=300 if quick else 2_000)
        ours.close()
        os.waitpid(pid, 0)
    return measured


def forked_call(quick: bool) -> Measured:
    """Fork this process, send the child one input, and wait for the result."""

    times: list[float] = []
    for _ in range(6 if quick else 40):
        began = time.perf_counter()
        with worker(increment) as peer:
            send(peer, pickle.dumps([pickle.dumps(1, 5)], 5))
            receive(peer)
            times.append((time.perf_counter() - began) * 1e3)
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99)})


def interpreter(program: str, quick: bool) -> Measured:
    """Run a program in an interpreter of its own, from its start to its end."""
    command = [sys.executable, "-c", program]
    times = [
        timed(lambda: subprocess.run(command, check=True, capture_output=True))[0] for _ in range(3 if quick else 10)
    ]
    return Measured(percentile(times, 0.5), {"runs": len(times)})


def copied_files(quick: bool) -> Measured:
    """Write arrays of 1 MiB to files in memory, as a sender has to, and read them: two copies."""
    import numpy

    count, shelf = (100 if quick else 500), Path(f"/dev/shm/swell-bench-{os.getpid()}")
    array = numpy.full(1 << 20, 7, dtype=numpy.uint8)

    def copy() -> None:
        for _ in range(count):
            shelf.write_bytes(array.data)
            numpy.frombuffer(shelf.read_bytes(), dtype=numpy.uint8)

    try:
        took, _ = timed(copy)
    finally:
        shelf.unlink()
    return Measured(count * (1 << 20) / took / 1e9)
