"""What freezes, comes back or dies for good: the head of the cluster, the broker, the server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import wait_until
from ray_place import START_S, RayCluster, RayPlace
from ray_work import Work, agents_of, frozen, is_gone, state_of, trouble_of


def head_of(address: str) -> psutil.Process:
    """The process that listens at the address of a cluster."""
    port = int(address.rpartition(":")[2])
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "gcs_server" and any(
            each.laddr.port == port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN
        ):
            return process
    raise AssertionError(f"nothing listens at {address}")


@pytest.mark.usefixtures("held")
def test_the_head_is_frozen_and_comes_back(place: RayPlace, work: Work, cluster: RayCluster) -> None:
    place.begins(cluster)
    names, broker = place.names(), place.broker()
    with frozen(head_of(cluster.address)):
        wait_until(
            lambda: "Ray does not answer" in trouble_of(place), lambda: state_of(place), seconds=START_S, pause_s=0.2
        )
        assert "Ray does not answer: its head is stopped, busy or out of reach" in place.told("status")
        work.succeeds()
    wait_until(lambda: not trouble_of(place), lambda: state_of(place), seconds=START_S, pause_s=0.1)
    assert place.names() == names
    assert place.broker() == broker


@pytest.mark.usefixtures("held")
def test_a_frozen_broker_is_replaced_and_its_agents_go_on(place: RayPlace, work: Work, cluster: RayCluster) -> None:
    place.begins(cluster)
    names, broker = place.names(), place.broker()
    call = work.begin()
    pid = work.pid()
    broker.suspend()  # and nobody resumes it
    wait_until(lambda: is_gone(broker.pid), lambda: state_of(place), seconds=START_S, pause_s=0.1)
    assert place.broker() != broker
    wait_until(lambda: not trouble_of(place), lambda: state_of(place), seconds=START_S, pause_s=0.1)
    said = "WARNING Ray cannot be used: its broker has not answered for 10 s, and is started again"
    assert said in (place.data_dir / "server.log").read_text()
    assert place.names() == names
    assert work.pid() == pid
    work.ends(call)


@pytest.mark.usefixtures("held")
def test_a_server_that_was_frozen_for_too_long_loses_its_nodes_and_nothing_else(
    place: RayPlace, work: Work, cluster: RayCluster
) -> None:
    place.begins(cluster, SWELL_NODE_TIMEOUT_S="2")
    call = work.begin()
    pid, agents, names = work.pid(), agents_of(place), place.names()
    with frozen(place.server()):
        for each in [pid, *(agent.pid for agent in agents)]:
            wait_until(lambda each=each: is_gone(each), f"{each} is still there", seconds=START_S, pause_s=0.1)
    assert work.pid() != pid
    work.ends(call)
    wait_until(lambda: not set(names) & set(place.names()), lambda: state_of(place), seconds=START_S, pause_s=0.1)


@pytest.mark.usefixtures("held")
def test_the_server_is_killed_while_the_head_is_frozen_and_nothing_of_it_stays(
    place: RayPlace, work: Work, cluster: RayCluster
) -> None:
    place.begins(cluster)
    call = work.begin()
    broker, pids = place.broker(), [work.pid(), *(agent.pid for agent in agents_of(place))]
    with frozen(head_of(cluster.address)):
        place.server().kill()
        for each in pids:
            wait_until(lambda each=each: is_gone(each), f"{each} is still there", seconds=START_S, pause_s=0.1)
    wait_until(lambda: is_gone(broker.pid), "the broker is still there", seconds=START_S, pause_s=0.1)
    wait_until(lambda: cluster("actors") == [], lambda: cluster("actors"), seconds=START_S, pause_s=0.1)
    place.told("start")
    work.ends(call)


# ---------------------------------------------------------------- a head that dies for good


#: For how many seconds the head may be away before others of the cluster end; Ray's default is 60.
IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "2"}


class Head:
    """A machine that is a cluster by itself, at a port that stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it, without what has been there before."""
        options = {
            "port": self._port,
            "node-ip-address": "127.0.0.1",
            "num-cpus": 1,
            "memory": 1 << 30,
            "object-store-memory": 80 << 20,
            "include-dashboard": "false",
            "temp-dir": self._folder,
        }
        self._process = psutil.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
            + [f"--{name}={value}" for name, value in options.items()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"RAY_TMPDIR": str(self._folder), **IMPATIENT},
        )

    def end(self) -> None:
        """Kill all of it that is left."""
        if self._process is None:
            return
        parts = [self._process, *self._process.children(recursive=True)]
        for each in parts:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(parts)
        self._process = None


@pytest.fixture
def head(place: RayPlace) -> Iterator[Head]:
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # a short path
        head = Head(Path(folder))
        yield head
        head.end()


def test_a_head_dies_with_its_nodes_and_the_next_one_at_its_address_gets_their_work(
    place: RayPlace, work: Work, head: Head
) -> None:
    head.start()
    place.environment |= IMPATIENT
    place.begins(head)
    call = work.begin()
    head_of(head.address).kill()
    wait_until(lambda: place.names() == [], lambda: state_of(place), seconds=START_S, pause_s=0.1)
    head.end()
    said = f"Ray cannot be used: no Ray answers at {head.address}"
    wait_until(lambda: said in trouble_of(place), lambda: state_of(place), seconds=START_S, pause_s=0.1)
    head.start()
    place.nodes(1)
    work.ends(call)
    place.told("stop")  # while there is somebody to give the slices back to
