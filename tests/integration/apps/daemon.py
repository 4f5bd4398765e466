"""A daemon, as tests of what it keeps have it: started, killed and started again on one data directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from patience import patience, wait_until
from programs import Programs

PATIENCE_S = patience(50.0)


class Daemon:
    """A data directory and its server. Its settings are given to every server that is started on it.

    Attributes:
        folder: The working directory of programs, where functions leave notes in `notes`.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.notes = folder / "notes"
        self.notes.touch()
        self._programs = Programs()
        own = {f"SWELL_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment = (
            os.environ | {"SWELL_DATA_DIR": str(self.data_dir), "SWELL_EXIT_GRACE_S": "2", "SWELL_WEB": "0"} | own
        )

    def swell(self, *arguments: str, through: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, perhaps as the last words of another."""
        return self._run([*through, sys.executable, "-m", "swell", *arguments])

    def told(self, *arguments: str) -> str:
        """Return what a command that succeeds prints."""
        done = self.swell(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, program: str) -> str:
        """Run a program in a process of its own; return what it prints, without the end."""
        done = self._run([sys.executable, "-c", f"import swell\n{program}"])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def begin(self, program: str) -> subprocess.Popen[str]:
        """Run a program in a process of its own, and go on."""
        return self._programs.start(
            [sys.executable, "-c", f"import swell\n{program}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def deploy(self, code: str, **how: str) -> None:
        """Deploy a program as the App in its variable `app`."""
        (self.folder / "program.py").write_text(code.replace("NOTES", repr(str(self.notes))))
        self.told("deploy", "program.py", *(word for name, value in how.items() for word in (f"--{name}", value)))

    @property
    def pid(self) -> int:
        return json.loads((self.data_dir / "server.json").read_text())["pid"]

    def kill(self) -> None:
        """End the server as a loss of power would, as far as it is concerned."""
        server = psutil.Process(self.pid)
        server.kill()
        self.eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)

    def restart_killed(self) -> None:
        """Kill the server, and start another on what it has left."""
        self.kill()
        self.told("start")

    @property
    def log(self) -> str:
        return (self.data_dir / "server.log").read_text()

    def noted(self) -> list[str]:
        """Return what functions have noted, in order."""
        return self.notes.read_text().split()

    def status(self) -> Mapping[str, Any]:
        return json.loads(self.swell("status", "--json").stdout)

    def end(self) -> None:
        """Leave nothing behind, whatever a test did."""
        self._programs.end()
        done = self.swell("stop", "--timeout", "30")
        if done.returncode != 0:
            self.kill()
            raise AssertionError(f"the server did not stop: {done.stderr}")

    @staticmethod
    def eventually(condition: Callable[[], Any]) -> Any:
        """Return what a condition gives, once that is true."""
        return wait_until(condition, "it has not come true", seconds=50.0, pause_s=0.05)
