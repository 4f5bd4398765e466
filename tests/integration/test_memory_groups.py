"""Control groups of a server that may divide its own: who is in them, what they limit, and that none is left."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delegation import delegated_group, groups_below
from patience import wait_until

import swell.cgroups as cgroups
import swell.linux as linux

SERVER = Path(__file__).with_name("limited_server.py")
LIMIT = 96 << 20
WAIT = "\nimport signal\nprint('there', flush=True)\nwhile True: signal.pause()\n"
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
ESCAPED = """
import os
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        os.execve("/bin/sleep", ["sleep", "1000"], {})
"""


class Server:
    """A server process that begins in a certain control group."""

    def __init__(self, group: Path, directory: Path) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", ENTER, str(group), sys.executable, str(SERVER), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SERVER.parent)},
        )
        self.read("up")

    @property
    def base(self) -> str:
        """The name of the group that it makes in its own."""
        return cgroups.base_name(self.process.pid, linux.begun_at(self.process.pid))

    def read(self, kind: str) -> list[Any]:
        """Return what is told with the next event of a kind."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            event, *rest = json.loads(line)
            if event == kind:
                return rest
        raise AssertionError("the server ended")

    def launch(self, name: str, code: str, limit: int | None = LIMIT) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, code, limit]) + "\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """End it in order; return its log."""
        _, logged = self.process.communicate()
        assert self.process.returncode == 0, logged
        return logged


@pytest.fixture
def group() -> Iterator[Path]:
    with delegated_group() as group:
        yield group


@pytest.fixture
def start(group: Path, tmp_path: Path) -> Iterator[Callable[[], Server]]:
    with contextlib.ExitStack() as ending:

        def start() -> Server:
            server = Server(group, tmp_path / "run")
            ending.enter_context(server.process)
            ending.callback(server.process.kill)
            return server

        yield start


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what)


def test_a_container_with_a_limit_has_a_group_and_the_server_a_leaf(start: Callable[[], Server], group: Path) -> None:
    server = start()
    server.launch("ta-1", WAIT)
    server.launch("ta-2", WAIT, None)
    pids: dict[str, int] = dict([server.read("started"), server.read("started")])
    for _ in pids:
        server.read("wrote")
    assert groups_below(group) == [server.base, f"{server.base}/server", f"{server.base}/ta-1-1"]
    assert cgroups.processes(group / server.base / "ta-1-1") == {pids["ta-1"]}
    assert {server.process.pid, pids["ta-2"]} <= cgroups.processes(group / server.base / "server")
    limits = [
        (group / server.base / "ta-1-1" / name).read_text().strip() for name in ("memory.max", "memory.oom.group")
    ]
    assert limits == [str(LIMIT), "1"]
    assert "held by control groups below" in server.end()


def test_no_group_is_left_of_containers_and_servers_that_end(start: Callable[[], Server], group: Path) -> None:
    server = start()
    server.launch("ta-1", ESCAPED)
    assert server.read("exited")[:2] == ["ta-1", "exited with code 0"]
    until(lambda: groups_below(group) == [server.base, f"{server.base}/server"], "the group of a container is left")
    server.launch("ta-2", ESCAPED + WAIT)
    server.read("wrote")
    server.end()
    assert groups_below(group) == []
    assert "memory" not in (group / cgroups.CONTROLLERS).read_text()


def test_no_group_and_no_process_is_left_of_a_server_that_is_killed(start: Callable[[], Server], group: Path) -> None:
    server = start()
    server.launch("ta-1", ESCAPED + WAIT)
    server.read("wrote")
    inside = group / server.base / "ta-1-1"
    until(lambda: len(cgroups.processes(inside)) == 4, "what has left its process group and its parents is not there")
    server.process.kill()
    until(lambda: groups_below(group) == [], "groups of a killed server are left")
    until(lambda: not cgroups.processes(group), "processes of a killed server are left")
    start().end()
    assert groups_below(group) == []


def test_what_a_killed_server_has_left_is_removed_by_the_next(start: Callable[[], Server], group: Path) -> None:
    left = group / cgroups.base_name(os.getpid(), linux.begun_at(os.getpid()) - 1) / "ta-1-1"
    left.mkdir(parents=True)
    foreign = group / "of-somebody-else"
    foreign.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        cgroups.move(sleeper.pid, left)
        server = start()
        until(lambda: not left.parent.exists(), "the group is still there")
        assert sleeper.wait() < 0
    assert foreign.exists()
    server.end()


def test_a_group_with_other_processes_is_not_divided_and_the_limit_holds(
    start: Callable[[], Server], group: Path
) -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        cgroups.move(sleeper.pid, group)
        server = start()
        server.launch("ta-1", "import os\nos.posix_fallocate(os.memfd_create('x'), 0, 160 << 20)" + WAIT)
        assert server.read("exited")[2][1] == LIMIT
        assert groups_below(group) == []
        assert sleeper.poll() is None
        assert f"held by a watch: the control group {group} holds other processes" in server.end()
        sleeper.kill()


def test_large_values_that_others_keep_do_not_count_and_the_rest_is_watched_then(
    start: Callable[[], Server], tmp_path: Path
) -> None:
    blobs = tmp_path / "run" / "blobs"
    blobs.mkdir(parents=True)
    code = f"""
from swell.wire import blobs
from swell.wire.shelf import Shelf
part = memoryview(b"x" * (16 << 20))
blobs.store([part] * 10, Shelf({str(blobs)!r}), "ca-1.0.out")
"""
    server = start()
    server.launch("ta-1", code + WAIT)
    assert server.read("wrote") == ["ta-1", "there\n"], "it lives with 160 MiB in a file"
    server.launch("ta-2", code + "import os\nos.posix_fallocate(os.memfd_create('x'), 0, 160 << 20)" + WAIT)
    name, _, (used, limit) = server.read("exited")
    assert (name, limit) == ("ta-2", LIMIT)
    assert 160 << 20 < used < 300 << 20, "without the file"
    server.end()
