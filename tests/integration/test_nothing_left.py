"""However a program ends, nothing of swell is left of it: no process, no socket, no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from patience import patience, wait_until
from programs import Programs

APPS = Path(__file__).parent / "apps"
PATIENCE_S = patience(60.0)
LEAVE_S = 10.0  #: twice what is promised, as other tests may keep the machine busy


class Program:
    """A run of leaving.py, which has got as far as its containers being busy."""

    def __init__(self, how: str, directory: Path, board: ModuleType, programs: Programs) -> None:
        self.mark = f"PYTHON_LEAVING={os.urandom(8).hex()}"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        name, _, value = self.mark.partition("=")
        self.process = programs.start(
            [sys.executable, str(APPS / "leaving.py"), how],
            env={**os.environ, name: value, "TMPDIR": str(self.temporary), "SWELL_EXIT_GRACE_S": "2"},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        board.wait_for_note("ready")
        notes = [note.split() for note in board.notes()]
        self.directory = Path(next(words[1] for words in notes if words[0] == "directory"))
        self.started = {int(pid) for words in notes if words[0] == "pids" for pid in words[1:]}
        assert len(self.started) == 10
        assert all(psutil.pid_exists(pid) for pid in self.started)
        assert self.directory.exists()
        board.give("leave")

    def find(self, module: str) -> psutil.Process:
        """Return the server (`swell.server.main`) or the template (`swell.runner.template`)."""
        return next(process for process in self._processes() if module in process.cmdline())

    def _processes(self) -> Iterator[psutil.Process]:
        name, _, value = self.mark.partition("=")
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if marked:
                yield process

    def left(self) -> list[str]:
        """Return everything that is left."""
        found = [f"process {process}" for process in self._processes()]
        found += [f"process {pid}" for pid in self.started if _lives(pid)]
        found += [f"directory {self.directory}"] if self.directory.exists() else []
        sockets = Path("/proc/net/unix").read_text()
        found += ["socket"] if str(self.directory) in sockets else []
        found += [f"file {path}" for path in self.temporary.iterdir()]
        return found

    def end(self) -> tuple[int, str]:
        """Wait for the end, and until nothing is left; return the exit code and what was said about it."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        wait_until(lambda: not self.left(), lambda: f"left: {self.left()}", seconds=LEAVE_S, pause_s=0.05)
        return self.process.returncode, said


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


Start = Callable[[str], Program]


@pytest.fixture
def start(tmp_path: Path, board: ModuleType, programs: Programs) -> Start:
    return lambda how: Program(how, tmp_path, board, programs)


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("raise", 1), ("exit", 3), ("_exit", 4)])
def test_after_the_program_ends_by_itself(start: Start, how: str, code: int) -> None:
    assert start(how).end()[0] == code


@pytest.mark.parametrize("how", ["wait", "map"])
def test_after_ctrl_c_which_a_terminal_sends_to_the_whole_group(start: Start, how: str) -> None:
    program = start(how)
    os.killpg(program.process.pid, signal.SIGINT)
    code, said = program.end()
    assert code == 0
    assert "App aborted" in said
    assert "Traceback" not in said


def test_after_ctrl_c_again_and_again(start: Start) -> None:
    program = start("wait")
    for _ in range(5):
        os.killpg(program.process.pid, signal.SIGINT)
        time.sleep(0.1)  # each finds the program at another step of its end, whichever
    program.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("how", ["wait", "map"])
def test_after_the_client_is_killed(start: Start, how: str, number: signal.Signals) -> None:
    program = start(how)
    program.process.send_signal(number)
    assert program.end()[0] == -number


def test_after_the_server_is_killed_and_the_client_says_so(start: Start) -> None:
    program = start("wait")
    program.find("swell.server.main").kill()
    code, said = program.end()
    assert code == 1
    assert "the server is gone" in said


def test_after_client_and_server_are_killed_at_once(start: Start) -> None:
    program = start("map")
    server = program.find("swell.server.main")
    server.suspend()
    program.process.kill()
    server.kill()
    program.end()


def test_after_the_server_is_told_to_stop(start: Start) -> None:
    program = start("wait")
    program.find("swell.server.main").terminate()
    code, said = program.end()
    assert code == 1
    assert "stopped" in said or "SIGTERM" in said or "gone" in said


def test_after_the_template_is_killed_what_it_forked_goes_on_and_ends_as_always(start: Start) -> None:
    program = start("wait")
    template = program.find("swell.runner.template")
    template.kill()
    template.wait(PATIENCE_S)
    assert all(_lives(pid) for pid in program.started)
    os.killpg(program.process.pid, signal.SIGINT)
    program.end()
