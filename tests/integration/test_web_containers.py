"""Web functions in containers that a server, or agents of nodes, have forked from templates and snapshots."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import web_app
from patience import patience, wait_until

from swell.sdk.connection.private_server import PrivateServer

PATIENCE_S = patience(60.0)
CONTAINERS = 7  #: three with a server, two with one from a snapshot, one of each of the others


class Sockets:
    """Those of the App's containers: in the server's directory, or in those of the nodes."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def __iter__(self) -> Iterator[Path]:
        yield from self._run_dir.glob("web/*")
        yield from self._run_dir.glob("nodes/*/web/*")


@pytest.fixture(scope="module")
def sockets() -> Iterator[Sockets]:
    """What is there while the App runs."""
    with web_app.app.run():
        server = PrivateServer.join()
        try:
            yield Sockets(Path(server.address.removeprefix("unix:")).parent)
        finally:
            server.leave()


def ask(path: Path, url: str = "/") -> str:
    with contextlib.closing(http.client.HTTPConnection("site.example")) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE_S)
        connection.sock.connect(str(path))
        connection.request("GET", url)
        return connection.getresponse().read().decode()


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.01)


def answering(sockets: Sockets) -> dict[str, str]:
    """What answers on each socket that is there, by its name."""
    found = dict[str, str]()
    for path in sockets:
        with contextlib.suppress(FileNotFoundError, ConnectionError, http.client.RemoteDisconnected):
            found[path.name] = ask(path)
    return found


def test_every_container_answers_on_a_socket_of_its_own(sockets: Sockets) -> None:
    await_that(lambda: len(answering(sockets)) == CONTAINERS, "not all answer")
    found = answering(sockets)
    assert {name.partition(".")[0]: said for name, said in found.items()} == {said: said for said in found.values()}


def test_a_server_that_dies_takes_its_container_with_it_and_another_one_comes(sockets: Sockets) -> None:
    await_that(lambda: len(answering(sockets)) == CONTAINERS, "not all answer")
    before = answering(sockets)
    server = next(path for path in sockets if ask(path, "/pid").isdigit())
    process = psutil.Process(int(ask(server, "/pid")))
    supervisor = process.parent()
    assert supervisor is not None
    process.kill()
    psutil.wait_procs([process, supervisor], PATIENCE_S)
    assert not supervisor.is_running()

    def is_replaced() -> bool:
        now = answering(sockets)
        return server.name not in now and len(now) == CONTAINERS

    await_that(is_replaced, "no other has come")
    assert len(before.keys() & answering(sockets).keys()) == CONTAINERS - 1, "the others are as they were"
    assert len(list(sockets)) == CONTAINERS, "it has left no socket"
