"""What happens to containers of a node when its agent dies, freezes, or cannot be reached; on real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from cut_wire import Wire

from swell.backends.agents.backend import AgentBackend
from swell.backends.agents.bulk import BulkServer
from swell.backends.agents.local import LocalAgents
from swell.model import Environment, FunctionSpec, Source
from swell.ports import LaunchOrder
from swell.wire.messages import PROTOCOL

TIMEOUT_S = 0.5  #: node_timeout_s
WAIT = "import signal\nprint('up', flush=True)\nwhile True: signal.pause()\n"


class Listener:
    """Writes down what is reported, and lets a test wait for it."""

    def __init__(self, backend: AgentBackend) -> None:
        self.backend = backend
        self.nodes: list[str] = []
        self.pids: dict[str, int] = {}
        self.exits: dict[str, tuple[str, bool]] = {}
        self.up: set[str] = set()
        self._news = asyncio.Event()

    def nodes_changed(self) -> None:
        self.nodes = [load.node.name for load in self.backend.observe(lambda _: True)]
        self._news.set()

    def container_started(self, container_id: str, pid: int) -> None:
        self.pids[container_id] = pid
        self._news.set()

    def container_exited(self, container_id: str, reason: str, started: bool, excess: object = None) -> None:
        assert container_id not in self.exits
        self.exits[container_id] = reason, started
        self._news.set()

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        self.up.add(container_id)
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()


class Agents(LocalAgents):
    """Agents that nobody kills when they are lost, as those of another machine."""

    kills = True

    def lost(self, name: str, why: str) -> None:
        if self.kills:
            super().lost(name, why)


class Cluster:
    """A backend over agents that are reached through a wire."""

    def __init__(self, directory: Path) -> None:
        self.wire = Wire()
        self.detours: list[str] = []  #: addresses that agents are given instead, each once
        self.directory = directory
        self.agents = Agents(
            2,
            directory,
            log_line_max=1000,
            timeout_s=TIMEOUT_S,
            program="program:run",
            gpus=(),
            through=lambda server: self.detours.pop() if self.detours else self.wire.through(server),
        )
        bulk = BulkServer(str(directory), str(directory), 1 << 20)
        self.backend = AgentBackend(
            self.agents, asyncio.Protocol, bulk=bulk, protocol=PROTOCOL, timeout_s=TIMEOUT_S, blob_bytes_max=1 << 20
        )
        self.listener = Listener(self.backend)

    async def start(self) -> None:
        await self.wire.lay()
        await self.backend.start(cast("Any", self.listener), "unix:/nowhere")
        await self.listener.until(lambda: len(self.listener.nodes) == 2)

    def launch(self, name: str, node: str, code: str = WAIT) -> None:
        order = LaunchOrder(
            container_id=name,
            app_id="ap-1",
            function_id="fu-1",
            spec=FunctionSpec("f", Source("module_of_user", "f")),
            environment=Environment(sys.executable, "/", (), dict(os.environ)),
            node=node,
            gpus=(),
            token=code,
        )
        self.backend.launch(order)

    async def runs(self, name: str, node: str) -> int:
        """Start a container and wait until its code runs; return its pid."""
        self.launch(name, node)
        await self.listener.until(lambda: name in self.listener.up)
        return self.listener.pids[name]

    async def exit_of(self, name: str) -> tuple[str, bool]:
        await self.listener.until(lambda: name in self.listener.exits)
        return self.listener.exits[name]


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent / "conformance"))
    cluster = Cluster(tmp_path / "nodes")
    await cluster.start()
    yield cluster
    await cluster.backend.stop()
    await cluster.wire.close()
    assert os.listdir(tmp_path / "nodes") == [], "something of a node is left"


async def gone(pid: int) -> None:
    """Wait until a process is gone or only its corpse is left."""
    while psutil.pid_exists(pid):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        await asyncio.sleep(0.005)


async def test_the_containers_of_a_killed_agent_are_lost_and_another_node_comes(cluster: Cluster) -> None:
    first, second = cluster.listener.nodes
    lost, kept = await cluster.runs("ta-1", first), await cluster.runs("ta-2", second)
    os.kill(cluster.agents.pids[first], signal.SIGKILL)
    reason, started = await cluster.exit_of("ta-1")
    assert started
    assert f"node {first} is lost" in reason
    await gone(lost)
    await cluster.listener.until(lambda: len(cluster.listener.nodes) == 2 and first not in cluster.listener.nodes)
    assert psutil.pid_exists(kept)
    assert "ta-2" not in cluster.listener.exits
    await cluster.runs("ta-3", next(name for name in cluster.listener.nodes if name != second))


async def test_a_frozen_agent_is_lost_and_kills_before_it_reads_when_it_thaws(cluster: Cluster, tmp_path: Path) -> None:
    first, second = cluster.listener.nodes
    pid = await cluster.runs("ta-1", first)
    agent = psutil.Process(cluster.agents.pids[first])
    cluster.agents.kills = False
    agent.suspend()
    done = tmp_path / "done"
    cluster.launch("ta-2", first, f"open({str(done)!r}, 'w')\n{WAIT}")  # waits in its socket until it goes on
    assert "node node-" in (await cluster.exit_of("ta-1"))[0]
    assert (await cluster.exit_of("ta-2"))[1], "it may have been started, for all that is known"
    assert cluster.listener.nodes == [second]
    assert psutil.pid_exists(pid)
    agent.resume()
    await gone(agent.pid)
    await gone(pid)
    assert done.name not in os.listdir(tmp_path)
    cluster.agents.kills = True


async def test_a_server_that_was_frozen_keeps_its_agents_if_that_was_short(cluster: Cluster) -> None:
    pids = cluster.agents.pids
    agents = [psutil.Process(pid) for pid in pids.values()]
    for agent in agents:
        agent.suspend()
    for agent in agents:
        agent.resume()
    await cluster.runs("ta-1", next(iter(pids)))
    assert cluster.agents.pids == pids


async def test_a_wire_that_is_cut_ends_all_its_nodes_at_once(cluster: Cluster) -> None:
    first, second = before = list(cluster.listener.nodes)
    pids = [await cluster.runs("ta-1", first), await cluster.runs("ta-2", second)]
    cluster.agents.kills = False
    agents = list(cluster.agents.pids.values())
    cluster.wire.cut()
    for name in ("ta-1", "ta-2"):
        assert (await cluster.exit_of(name))[1]
    for pid in agents + pids:
        await gone(pid)
    cluster.agents.kills = True
    assert not set(before) & set(cluster.listener.nodes)


@pytest.mark.parametrize("direction", ["to the server", "to the agent"])
async def test_a_wire_that_carries_in_one_direction_only_ends_its_nodes(cluster: Cluster, direction: str) -> None:
    first, _ = cluster.listener.nodes
    pid = await cluster.runs("ta-1", first)
    agent = cluster.agents.pids[first]
    cluster.agents.kills = False
    cluster.wire.drops.add(direction)
    assert (await cluster.exit_of("ta-1"))[1]
    await gone(agent)
    await gone(pid)
    cluster.wire.drops.clear()
    cluster.agents.kills = True


@pytest.mark.parametrize("how", ["delay_s", "apart_s", "bytes_per_s"])
async def test_a_slow_wire_is_only_slow(cluster: Cluster, how: str) -> None:
    before = list(cluster.listener.nodes)
    setattr(cluster.wire, how, 50_000.0 if how == "bytes_per_s" else TIMEOUT_S / 5)
    await cluster.runs("ta-1", before[0])
    cluster.backend.kill("ta-1")
    assert await cluster.exit_of("ta-1") == ("killed by SIGKILL", True)
    assert sorted(cluster.listener.nodes) == sorted(before)


async def test_an_agent_that_ends_before_it_is_let_in_is_followed_by_another(cluster: Cluster) -> None:
    first, second = cluster.listener.nodes
    cluster.detours.append("no address")
    os.kill(cluster.agents.pids[first], signal.SIGKILL)
    await cluster.listener.until(lambda: cluster.listener.nodes == [second])
    await cluster.listener.until(lambda: len(cluster.listener.nodes) == 2)
    assert not cluster.detours
