"""However a server with agents ends, nothing of their nodes is left: no process, no directory, no socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import wait_until
from programs import Programs

PROGRAM = """
import os, subprocess, time
import swell

app = swell.App("ends")

def busy(number):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("busy", flush=True)
    time.sleep(1000)

busy = app.function(serialized=True, min_containers=0)(busy)

with app.run():
    print(os.path.dirname(app.session.client.address.removeprefix("unix:")), flush=True)
    list(busy.map(range(3)))
"""
MARK = "PYTHON_AGENTS_END"  #: templates inherit only what shapes an interpreter's start, as this pretends to do


class Run:
    """A program, its server with two agents, and containers that are busy."""

    def __init__(self, programs: Programs) -> None:
        self.value = os.urandom(8).hex()
        self.process = programs.start(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, MARK: self.value, "SWELL_BACKEND": "agents", "SWELL_EXIT_GRACE_S": "1"},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.directory = Path(self.process.stdout.readline().strip())
        wait_until(lambda: len(self.find("sleep", "1000")) == 3, "containers are not busy")

    def find(self, *words: str) -> list[psutil.Process]:
        """Return the processes of which the command line has these words; all without words."""
        return [each for each in self._processes() if set(words) <= set(each.cmdline())]

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.value and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    def left(self) -> list[str]:
        """Return everything that is left."""
        found = [str(process) for process in self._processes()]
        found += [str(self.directory)] if self.directory.exists() else []
        return found + ["a socket"] * (str(self.directory) in Path("/proc/net/unix").read_text())

    def ends(self) -> None:
        """Wait until nothing is left."""
        wait_until(lambda: not self.left(), lambda: f"left: {self.left()}", pause_s=0.05)


@pytest.fixture
def run(programs: Programs) -> Run:
    return Run(programs)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_after_the_server_is_told_to_end(run: Run, number: signal.Signals) -> None:
    (server,) = run.find("swell.server.main")
    server.send_signal(number)
    run.ends()
    assert run.process.wait() != 0


def test_after_server_and_client_are_killed_at_once(run: Run) -> None:
    (server,) = run.find("swell.server.main")
    server.suspend()
    run.process.kill()
    server.kill()
    run.ends()


def test_after_everything_but_agents_and_containers_is_killed(run: Run) -> None:
    killed = [*run.find("swell.server.main"), *run.find("swell.runner.template"), psutil.Process(run.process.pid)]
    for process in killed:
        process.suspend()
    for process in killed:
        process.kill()
    run.ends()


def test_after_ctrl_c(run: Run) -> None:
    run.process.send_signal(signal.SIGINT)
    run.ends()
