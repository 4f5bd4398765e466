"""A server of one's own: started by a client that finds none running, and gone when the client is.

The client makes the socket, so it can connect before the server is up. The server lives as long as the client holds its
end of a pipe, the lifeline: however the client ends, the kernel closes it. This module must not know what is run there.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

__all__ = ["PrivateServer"]

STOP_PATIENCE_S = 40.0  #: longer than the grace that containers get


class PrivateServer:
    """A server process that belongs to this one. `start` it, use its `address`, `stop` it."""

    def __init__(self) -> None:
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._run_dir = ""

    def start(self) -> None:
        """Start the server without waiting for it: connections made from now on are answered when it is up."""
        self._run_dir = run_dir = os.path.join(_fast_directory(), f"swell-{os.getuid()}-{os.urandom(8).hex()}")
        os.mkdir(run_dir, 0o700)
        path = os.path.join(run_dir, "server.sock")
        hold, self._lifeline = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(4_096)
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",  # a module of the user's must not stand in for one of the standard library
                        "-m",
                        "swell.server.main",
                        f"--listen-fd={listener.fileno()}",
                        f"--lifeline-fd={hold}",
                        f"--run-dir={run_dir}",
                    ],
                    pass_fds=(listener.fileno(), hold),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C in the terminal is for the client, which then stops the server
                )
            finally:
                os.close(hold)
        self.address = f"unix:{path}"

    def stop(self) -> None:
        """Let go of the server and wait until it is gone, with everything it started. Safe to call twice."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(STOP_PATIENCE_S)
        except BaseException:  # too slow, or the user is: its template sees to what it leaves behind
            process.kill()
            process.wait()
            raise
        finally:
            if os.path.exists(self._run_dir):  # only if the server was killed, and its template with it
                import shutil

                shutil.rmtree(self._run_dir, ignore_errors=True)


def _fast_directory() -> str:
    """Return where files live in memory, if there is such a place: large arguments and results go there."""
    if os.access("/dev/shm", os.W_OK):
        return "/dev/shm"
    import tempfile

    return tempfile.gettempdir()
