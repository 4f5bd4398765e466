"""Kill things with -9 and count the survivors: there must be none, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import patience

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
        """Return all processes below the server: template, containers, and what these started."""
        pids = [int(pid) for line in self.read("wrote", CONTAINERS) for pid in line.split()[1:]]
        found = {process.pid: process for process in psutil.Process(self.process.pid).children(recursive=True)}
        assert set(pids) <= set(found), "a descendant escaped"
        assert len(found) == 1 + 4 * CONTAINERS
        return list(found.values())


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
    deadline = time.monotonic() + patience(GONE_S)
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not directory.exists()


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


def test_killing_the_template_ends_its_containers_and_another_takes_its_place(server: Server, directory: Path) -> None:
    everybody = server.everybody()
    [template] = psutil.Process(server.process.pid).children()
    template.send_signal(signal.SIGKILL)
    assert sorted(server.read("exited", CONTAINERS)) == [
        f"ta-{n} its template ended: killed by SIGKILL" for n in range(CONTAINERS)
    ]
    assert survivors(everybody) == []
    server.launch()
    [started] = server.read("started", 1)
    assert psutil.pid_exists(int(started.split()[1]))
    [successor] = psutil.Process(server.process.pid).children()
    server.read("wrote", 1)
    everybody = [successor, *successor.children(recursive=True)]
    server.process.kill()
    assert survivors(everybody) == []
    wait_until_removed(directory)


def test_a_container_killed_from_outside_leaves_nothing(server: Server) -> None:
    everybody = server.everybody()
    [template] = psutil.Process(server.process.pid).children()
    for container in template.children():
        container.kill()
    server.read("exited", CONTAINERS)
    assert survivors([process for process in everybody if process != template]) == []
    assert is_alive(template)
