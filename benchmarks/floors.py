"""The least that a durable call could cost: what no program that keeps its promise can go below.

Nothing of swell is used here, and nothing measures.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

ENTRY = bytes(512)  #: about as many bytes as a call with a small argument takes in a database


@contextmanager
def written_and_synced(folder: Path) -> Generator[Callable[[], object]]:
    """Yield a function that writes an entry at the end of a file and waits until the disk has it."""
    fd = os.open(folder / "entries", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def one() -> None:
        os.write(fd, ENTRY)
        os.fdatasync(fd)

    try:
        yield one
    finally:
        os.close(fd)


@contextmanager
def relayed_and_committed(folder: Path) -> Generator[Callable[[], object]]:
    """Yield a function that sends an entry to another process, which commits it as a row and answers."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        try:
            ours.close()
            _serve(theirs, folder)
        finally:
            os._exit(0)
    theirs.close()

    def one() -> None:
        ours.send(ENTRY)
        ours.recv(1)

    try:
        yield one
    finally:
        ours.close()
        os.waitpid(pid, 0)


def _serve(peer: socket.socket, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, content BLOB)")
        while entry := peer.recv(len(ENTRY)):
            database.execute("INSERT INTO entry (content) VALUES (?)", (entry,))
            peer.send(b"\1")
