"""Kill things with -9 and count the survivors: there must be none, whoever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import patience, wait_until

SERVER = Path(__file__).with_name("killed_server.py")
CONTAINERS = 5
GONE_S = 5.0  #: the promise is one second; a busy machine gets more


class Server:
    """A server process whose events can be read."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(directory), str(CONTAINERS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SERVER.parent)},
        )

    def read(self, event: str, count: int) -> list[str]:
        """Return what follows the next `count` events of one kind."""
        assert self.process.stdout is not None
        found: list[str] = []
        while len(found) < count:
            line = self.process.stdout.readline()
            assert line, "the server ended"
            kind, _, rest = line.strip().partition(" ")
            if kind == event:
                found.append(rest)
        return found

    def launch(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def everybody(self) -> list[psutil.Process]:
        """Return all processes below the server: the template first, containers, and what these started."""
        pids = [int(pid) for line in self.read("wrote", CONTAINERS) for pid in line.split()[1:]]
        found = {process.pid: process for process in psutil.Process(self.process.pid).children(recursive=True)}
        assert set(pids) <= set(found), "a descendant escaped"
        assert len(found) == 1 + 4 * CONTAINERS, "a container costs no process but its own"
        return sorted(found.values(), key=lambda process: process.ppid() != self.process.pid)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    (directory / "blobs").mkdir(parents=True)
    (directory / "blobs" / "one").write_bytes(b"data")
    return directory


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    with server.process:
        yield server
        server.process.kill()


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    deadline = time.monotonic() + patience(GONE_S)
    while (left := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_removed(directory: Path) -> None:
    wait_until(lambda: not directory.exists(), f"{directory} is not removed", seconds=GONE_S)


def test_killing_the_server_leaves_nothing(server: Server, directory: Path) -> None:
    everybody = server.everybody()
    server.process.kill()
    assert survivors(everybody) == []
    wait_until_removed(directory)


def test_killing_the_server_while_containers_start_leaves_nothing(server: Server, directory: Path) -> None:
    server.read("started", 1)
    everybody = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    assert survivors(everybody) == []
    wait_until_removed(directory)


def test_stopping_the_server_leaves_nothing(server: Server) -> None:
    everybody = server.everybody()
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert sorted(server.read("exited", CONTAINERS)) == [f"ta-{n} killed by SIGKILL" for n in range(CONTAINERS)]
    assert server.process.wait(GONE_S) == 0
    assert survivors(everybody) == []


def kill_template(server: Server) -> psutil.Process:
    """Kill the template, and return the one that has taken its place and forked a container."""
    [template] = psutil.Process(server.process.pid).children()
    template.send_signal(signal.SIGKILL)
    assert survivors([template]) == []
    server.launch()
    [started] = server.read("started", 1)
    server.read("wrote", 1)
    successor = psutil.Process(int(started.split()[1])).parents()[0]
    assert successor.pid != template.pid
    return successor


def test_containers_outlive_their_template_and_another_takes_its_place(server: Server) -> None:
    [template, *others] = server.everybody()
    kill_template(server)
    assert all(is_alive(process) for process in others)
    assert not is_alive(template)


def test_a_container_whose_template_was_killed_leaves_nothing(server: Server) -> None:
    [_, *others] = server.everybody()
    kill_template(server)
    first = next(process for process in others if process.name() == "swell-container")
    mine = [first, *first.children(recursive=True)]
    assert len(mine) == 4
    first.kill()
    assert server.read("exited", 1)[0].endswith("how is not known, as its template had died before")
    assert survivors(mine) == []
    assert all(is_alive(process) for process in others if process not in mine)


def test_killing_the_server_after_its_template_leaves_nothing(server: Server, directory: Path) -> None:
    [_, *others] = server.everybody()
    successor = kill_template(server)
    everybody = [successor, *successor.children(recursive=True), *others]
    server.process.kill()
    assert survivors(everybody) == []
    wait_until_removed(directory)


def test_stopping_the_server_after_its_template_was_killed_leaves_nothing(server: Server) -> None:
    [_, *others] = server.everybody()
    kill_template(server)
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert {line.split(maxsplit=1)[1] for line in server.read("exited", CONTAINERS + 1)} == {"killed by SIGKILL"}
    assert server.process.wait(GONE_S) == 0
    assert survivors(others) == []


def test_killing_server_and_template_at_once_ends_every_container(server: Server) -> None:
    [template, *others] = server.everybody()
    containers = [process for process in others if process.name() == "swell-container"]
    assert len(containers) == CONTAINERS
    server.process.send_signal(signal.SIGSTOP)  # so that it does nothing between the two
    template.kill()
    server.process.kill()
    assert survivors(containers) == []
    for process in others:  # in sessions of their own, they have lost all that would have looked after them
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_a_container_killed_from_outside_leaves_nothing(server: Server) -> None:
    everybody = server.everybody()
    [template, *others] = everybody
    for process in [process for process in others if process.name() == "swell-container"]:
        process.kill()
    server.read("exited", CONTAINERS)
    assert survivors(others) == []
    assert is_alive(template)
