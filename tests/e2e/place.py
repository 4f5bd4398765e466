"""A user's place: programs in a directory, a data directory of its own, and the `swell` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from patience import wait_until
from programs import Programs
from terminal import PATIENCE_S, SWELL

__all__ = ["PATIENCE_S", "SWELL", "Place"]

JOBS = """
import os, sys, time
import swell

app = swell.App("jobs", tags={"team": "blue"})

@app.function()
def square(x: int) -> int:
    print("squaring", x)
    print("careful", x, file=sys.stderr)
    return x * x

@app.function(schedule=swell.Period(days=1))
def nightly():
    print("nightly")

@app.function(timeout=3_000, max_containers=1, env={"OF_NAP": "yes"})
def nap(seconds: float) -> float:
    print("napping", flush=True)
    time.sleep(seconds)
    return seconds

@app.function()
def fail() -> None:
    raise ValueError("as it must")

@app.function()
@swell.asgi_app()
def site():
    raise AssertionError("nobody asks")

@app.cls()
class Model:
    size: str = swell.parameter(default="small")

    @swell.method()
    def predict(self, text: str) -> str:
        return f"{self.size}: {text}"
"""


class Place:
    """Where a user works.

    Attributes:
        folder: The directory with the programs, which is the working directory.
        data_dir: Of the daemon.
        web: Whether that listens for HTTP; few tests need it, and it takes its time.
    """

    def __init__(self, folder: Path, data_dir: Path, *, web: bool = False) -> None:
        self.folder = folder
        self.data_dir = data_dir
        self.environment = os.environ | {
            "SWELL_DATA_DIR": str(data_dir),
            "SWELL_EXIT_GRACE_S": "1",
            "SWELL_WEB": str(int(web)),
        }
        self._programs = Programs()
        (folder / "jobs.py").write_text(JOBS)

    def swell(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            [SWELL, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=self.environment | environment,
        )

    def told(self, *arguments: str) -> str:
        """Return what a command that succeeds prints."""
        done = self.swell(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Return what a command that fails says."""
        done = self.swell(*arguments)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def json(self, *arguments: str) -> Any:
        """Return what a command prints with --json."""
        return json.loads(self.told(*arguments, "--json"))

    def begin(self, *arguments: str, through: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Run the command, and go on. `through` is a command that runs it as its own last words."""
        return self._programs.start(
            [*through, SWELL, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | {"PYTHONUNBUFFERED": "1"},
        )

    def python(self, program: str) -> str:
        """Run a program of the user's, which finds the server as any does; return what it prints, without the end."""
        done = subprocess.run(
            [sys.executable, "-c", f"import swell\n{program}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=self.environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def spawn(self, function: str, *arguments: object, app: str = "jobs") -> str:
        """Spawn a call of a deployed function; return its id."""
        given = ", ".join(map(repr, arguments))
        return self.python(f"print(swell.Function.from_name({app!r}, {function!r}).spawn({given}).object_id)")

    def end(self) -> None:
        """Leave nothing behind, whatever a test did."""
        self._programs.end()
        done = self.swell("stop", "--timeout", "30")
        if done.returncode != 0:
            status = json.loads(self.swell("status", "--json").stdout)
            if status["pid"]:
                os.kill(status["pid"], signal.SIGKILL)
            raise AssertionError(f"the server did not stop: {done.stderr}")

    @staticmethod
    def eventually(condition: Callable[[], Any]) -> Any:
        """Return what a condition gives, once that is true."""
        return wait_until(condition, "it has not come true", seconds=60.0, pause_s=0.05)
