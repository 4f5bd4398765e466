"""The log of a server in the background: one file for all that its processes write to stderr, within a bound.

The server, its edge, and an interpreter that reports how it dies have the file open for appending. None can be made to
open another, so the file is never moved while the server runs: when it is full, its content is copied to the older file
and it is truncated, after which all append at its new end. What is written in the millisecond between is lost.
This module must not know what is logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path
from typing import Final

from swell.errors import InvalidError
from swell.private_files import open_file

__all__ = ["LOG_BYTES_MAX", "ServerLog", "log_path", "older_path"]

LOG_BYTES_MAX: Final = 4 << 20  #: a file with more is full
CHECK_EVERY_S: Final = 1.0
STDERR: Final = 2
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

log = logging.getLogger("swell.server")


def log_path(data_dir: Path) -> Path:
    """Return the log file of a server in the background."""
    return data_dir / "server.log"


def older_path(data_dir: Path) -> Path:
    """Return the file that the log is copied to when it is full, replacing the last copy."""
    return data_dir / "server.old.log"


class ServerLog:
    """Rotates the log, from `start` to `stop`, if stderr is written to it.

    Args:
        data_dir: of the server.
        bytes_max: of the file before it is rotated.
        fd: that the processes write to.
    """

    def __init__(self, data_dir: Path, bytes_max: int = LOG_BYTES_MAX, fd: int = STDERR) -> None:
        self._path = log_path(data_dir)
        self._older = older_path(data_dir)
        self._bytes_max = bytes_max
        self._fd = fd
        self._failed = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Check the log at intervals. A server in a terminal, or under a supervisor that keeps its log, has none."""
        if self._is_ours():
            self._check()

    def stop(self) -> None:
        """Stop checking. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def rotate_if_full(self) -> bool:
        """Copy the log to the older file and truncate it, if it is full; True if so."""
        if not self._is_ours() or os.fstat(self._fd).st_size <= self._bytes_max:
            return False
        draft = self._older.with_name(f"{self._older.name}~")
        with self._path.open("rb") as source, open(open_file(draft, _NEW), "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        os.replace(draft, self._older)
        os.truncate(self._path, 0)
        return True

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except OSError:
            return False  # stderr is closed, or there is no such file

    def _check(self) -> None:
        try:
            self.rotate_if_full()
            self._failed = False
        except (OSError, InvalidError) as error:
            if not self._failed:  # once: a full disk fails every time
                log.warning("%s cannot be put aside: %s", self._path, error)
            self._failed = True
        self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._check)
