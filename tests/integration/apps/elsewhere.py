"""A program on another machine than the daemon: it shares no directory with the server, and touches none of its paths.

That is asserted in the program itself: Python tells a hook which files it opens.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from daemon import Daemon
from patience import patience

from swell.discovery import Announcement

_GUARD = """
import os, sys
SERVERS = {paths!r}
def guard(event, args):
    if event != "open" and not event.startswith(("os.", "socket.", "shutil.", "subprocess.")):
        return
    for path in SERVERS:
        if path in repr(args):
            os.write(2, f"the client touches {{event}} {{args}}".encode())
            os._exit(99)
sys.addaudithook(guard)
"""


class Elsewhere:
    """Another machine, from which the daemon is reached over TCP."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.folder = folder
        for name in ("home", "temporary", "work"):
            (folder / name).mkdir()
        self.work = folder / "work"
        told = msgspec.json.decode((daemon.data_dir / "server.json").read_bytes(), type=Announcement)
        self.address = told.remote_address
        self._servers = [str(daemon.data_dir), told.run_dir]
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SWELL_", "XDG_", "TMP")) and name != "HOME"
        } | {
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "temporary"),
            "SWELL_SERVER": self.address,
            "SWELL_TOKEN": Path(told.remote_token_file).read_text(),
        }

    def python(self, program: str, **environment: str) -> str:
        """Run a program to its end; return what it prints."""
        done = self.run(program, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(program),
            cwd=self.work,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience(50.0),
            check=False,
        )

    def swell(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return self.run(f"from swell.cli.main import main\nmain({list(arguments)!r})", **environment)

    def command(self, program: str) -> list[str]:
        """Return the command of a program."""
        return [sys.executable, "-c", _GUARD.format(paths=self._servers) + program]


@contextmanager
def listening(folder: Path, **settings: object) -> Iterator[Daemon]:
    """Run a daemon that listens for programs on other machines."""
    folder.mkdir()
    for _ in range(5):  # the port that is free now may be taken in a moment
        daemon = Daemon(folder, listen_port=_free_port(), **settings)
        done = daemon.swell("start")
        if done.returncode == 0:
            break
        assert "cannot listen for clients" in done.stderr
    try:
        yield daemon
    finally:
        daemon.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
