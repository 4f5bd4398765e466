"""The data directory of a daemon: one server at a time has it, and announces there where it listens.

This module must not know what is kept in the directory, or what is served.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import struct
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from swell.discovery import Announcement, announced, announcement_path, socket_path
from swell.errors import ConflictError, InvalidError
from swell.private_files import bind_socket, make_directory, open_file, read_file, replace_file
from swell.run_directory import claim_run_dir, new_run_dir, remove_run_dir

__all__ = ["READY", "DataDirectory", "holder", "make_data_dir", "server_id", "unwritable"]

READY = "ready"  #: what a daemon in the background writes to the pipe of its starter when clients can connect
BACKLOG = 4_096  #: connections that wait to be accepted
LOCK_FILE = "server.lock"
ID_FILE = "server.id"
ID_BYTES = 8
FLOCK = struct.Struct("hhqqi0q")  #: the kernel's struct flock: type, whence, start, length, pid


def holder(data_dir: Path) -> int | None:
    """Return the pid of the server that has a data directory, None if none has; 0 if it cannot be seen from here.

    The kernel knows, so it is never a former server. A server must not ask this of its own directory: closing the file
    that is opened here would release its lock.
    """
    try:
        # O_NONBLOCK: opening a pipe that stands there must not block.
        lock = os.open(data_dir / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # no server ever had it, or it may not be read
        return None
    try:
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    finally:
        os.close(lock)
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def make_data_dir(data_dir: Path) -> None:
    """Make a data directory if it is not there.

    Raises:
        InvalidError: it cannot be made; or it is another user's, or others may write to it.
    """
    try:
        make_directory(data_dir)
    except OSError as error:
        raise unwritable(data_dir, error) from None


def server_id(data_dir: Path | None) -> str:
    """Return what tells things of this server from those of others elsewhere: the same at each start of a daemon.

    Args:
        data_dir: of the daemon, which has it; None: a server that keeps nothing.

    Raises:
        InvalidError: others may write to the file.
    """
    new = secrets.token_hex(ID_BYTES)
    if data_dir is None:
        return new
    try:
        known = read_file(data_dir / ID_FILE).decode(errors="replace").strip()
    except FileNotFoundError:
        known = ""
    if re.fullmatch(f"[0-9a-f]{{{2 * ID_BYTES}}}", known):
        return known
    replace_file(data_dir / ID_FILE, new.encode())
    return new


def unwritable(data_dir: Path, error: OSError) -> InvalidError:
    """Return the error for a data directory that cannot be written to."""
    return InvalidError(
        f"cannot write to the data directory {data_dir}: {error.strerror}; SWELL_DATA_DIR names another"
    )


class DataDirectory:
    """Holds a data directory from `acquire` to `release`."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir
        self.run_dir = Path(new_run_dir())
        self._lock = self._mark = -1

    def acquire(self) -> None:
        """Lock the directory, making it if it is not there, and make the run directory.

        Raises:
            ConflictError: another server has it.
            InvalidError: one of them cannot be made, or not be written to.
        """
        make_data_dir(self.path)
        try:
            lock = open_file(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise unwritable(self.path, error) from None
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: of this kind, the kernel tells the holder
        except BlockingIOError:
            os.close(lock)
            pid = holder(self.path)
            who = f" (pid {pid})" if pid else ""
            raise ConflictError(
                f"a server{who} has the data directory {self.path} already: `swell stop` ends it, and "
                "SWELL_DATA_DIR names another directory"
            ) from None
        former, found = announced(str(self.path)), os.fstat(lock)
        owner = f"{found.st_dev}:{found.st_ino}"  # a copy of a data directory has another lock file
        if former is not None and former.run_dir:  # that server was killed, and its template with it
            remove_run_dir(former.run_dir, owner)
        try:
            self._mark = claim_run_dir(str(self.run_dir), owner)
        except OSError as error:
            os.close(lock)
            raise InvalidError(f"cannot make {self.run_dir}: {error.strerror}") from None
        self._lock = lock

    @property
    def socket_path(self) -> Path:
        """The path of the socket that clients connect to."""
        return Path(socket_path(str(self.path)))

    def listen(self) -> socket.socket:
        """Return a listening socket that only this user can connect to."""
        path = self.socket_path
        path.unlink(missing_ok=True)  # left by a server that was killed
        listener = bind_socket(path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        return listener

    def announce(self, address: str, remote_address: str = "", remote_token_file: str = "") -> None:
        """Let clients find the server."""
        announcement = Announcement(
            address=address,
            pid=os.getpid(),
            started_at=time.time(),
            version=version("swell"),
            run_dir=str(self.run_dir),
            remote_address=remote_address,
            remote_token_file=remote_token_file,
        )
        replace_file(announcement_path(str(self.path)), msgspec.json.encode(announcement))

    def release(self) -> None:
        """Remove the announcement and release the lock. Safe to call twice."""
        if self._lock < 0:
            return
        Path(announcement_path(str(self.path))).unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        os.close(self._mark)
        os.close(self._lock)  # last: the next holder of the lock finds nothing of this server
        self._lock = -1
