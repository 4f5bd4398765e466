"""A private server: a client starts it if no server runs, and it ends with the client.

The client makes the socket, so it can connect before the server has started. The server runs as long as the client
holds its end of a pipe, the lifeline: however the client ends, the kernel closes the pipe. Apps that a process runs at
the same time share its server. This module must not know what is run there.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import ClassVar

from swell.discovery import socket_path
from swell.private_files import bind_socket, check_directory, new_directory
from swell.run_directory import new_run_dir
from swell.standard_streams import beyond, stderr_for_child

__all__ = ["PrivateServer"]

STOP_PATIENCE_S = 40.0  #: longer than the grace that containers get


class PrivateServer:
    """A server process that belongs to this one. `join` it, use its `address`, `leave` it."""

    _current: ClassVar[PrivateServer | None] = None
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._users = 0
        self._lifeline = -1
        self._run_dir = ""

    @classmethod
    def join(cls) -> PrivateServer:
        """Return this process's server; if it has none, start one, without waiting for it.

        The server answers connections made from now on when it has started.
        """
        with cls._guard:
            server = cls._current
            if server is None or not server._usable():
                server = PrivateServer()
                server._start()
                cls._current = server
            server._users += 1
            return server

    def leave(self) -> None:
        """Release the server. The last user waits until the server and everything that it started have ended."""
        with self._guard:
            self._users -= 1
            if self._users:
                return
            if PrivateServer._current is self:
                PrivateServer._current = None
        self._stop()

    def _usable(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @classmethod
    def _forget(cls) -> None:
        """In a forked child: close the lifeline, so that the server ends with the parent."""
        cls._guard = threading.Lock()
        server, cls._current = cls._current, None
        if server is not None and server._lifeline >= 0:
            os.close(server._lifeline)
            server._lifeline = -1

    def _start(self) -> None:
        self._run_dir = run_dir = new_run_dir()
        new_directory(run_dir)
        check_directory(run_dir)  # the directories above it were not made here
        path = socket_path(run_dir)
        hold, self._lifeline = map(beyond, os.pipe())
        with socket.socket(fileno=beyond(bind_socket(path).detach())) as listener:
            listener.listen(4_096)
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",  # so that a user's module does not replace one of the standard library
                        "-m",
                        "swell.server.main",
                        f"--listen-fd={listener.fileno()}",
                        f"--lifeline-fd={hold}",
                        f"--run-dir={run_dir}",
                    ],
                    pass_fds=(listener.fileno(), hold),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr_for_child(),
                    start_new_session=True,  # Ctrl-C in the terminal is for the client, which then stops the server
                )
            finally:
                os.close(hold)
        self.address = f"unix:{path}"

    def _stop(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(STOP_PATIENCE_S)
        except BaseException:  # too slow, or Ctrl-C: the template removes what the server leaves
            process.kill()
            process.wait()
            raise
        finally:
            if os.path.exists(self._run_dir):  # only if both the server and its template were killed
                import shutil

                shutil.rmtree(self._run_dir, ignore_errors=True)


os.register_at_fork(after_in_child=PrivateServer._forget)  # pyright: ignore[reportPrivateUsage]
