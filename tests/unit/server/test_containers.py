"""Containers as the server knows them: what shows that a client is the code in one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from msgspec import convert
from msgspec.structs import replace

from swell.config import Settings
from swell.engine.events import ContainerExited, Event, StartContainer
from swell.model import Environment, FunctionSpec, Source
from swell.ports import Backend, LaunchOrder, NodePaths
from swell.server.bundles import Bundles
from swell.server.containers import Containers
from swell.server.paths import ServerPaths
from swell.store.memory.store import MemoryStore
from swell.wire.bundle import pack
from swell.wire.messages import PROTOCOL, Hello


class Launches:
    """A backend that only notes what it is to launch."""

    is_local = True

    def __init__(self) -> None:
        self.orders: list[LaunchOrder] = []

    def launch(self, order: LaunchOrder) -> None:
        self.orders.append(order)

    def paths_of(self, node: str) -> NodePaths | None:
        there = {name: f"/node/{name}" for name in NodePaths.__struct_fields__} | {"bundle_dir": "/node/bundles"}
        return None if self.is_local else convert(there, NodePaths)


class Received:
    """What a container is sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, message: Any) -> None:
        self.messages.append(message)


def test_a_token_is_good_as_long_as_its_container_is_there(tmp_path: Path) -> None:
    backend, events = Launches(), list[Event]()
    store: Any = MemoryStore(lambda answer: None)
    paths = ServerPaths("unix:/nowhere", tmp_path)
    bundles = Bundles(None, tmp_path, store, are_local=True, deleted=lambda _: None)
    containers = Containers(cast(Backend, backend), Settings(), paths, bundles, events.append)
    for number in range(3):
        containers.launch(start(f"ta-{number}"))
    tokens = [order.token for order in backend.orders]
    assert accepted(containers, tokens) == tokens
    assert accepted(containers, ["", tokens[0][:-1], "é"]) == []
    containers.exited("ta-1", "it was stopped", started=True)
    assert events == [ContainerExited("ta-1", "it was stopped")]
    assert accepted(containers, tokens) == [tokens[0], tokens[2]]


def test_a_node_is_told_nothing_of_the_clients_machine(tmp_path: Path) -> None:
    backend = Launches()
    backend.is_local = False
    store: Any = MemoryStore(lambda answer: None)
    paths = ServerPaths("unix:/nowhere", tmp_path)
    bundles = Bundles(None, tmp_path, store, are_local=False, deleted=lambda _: None)
    containers = Containers(cast(Backend, backend), Settings(), paths, bundles, lambda _: None)
    digest, archive = pack({"m.py": b""})
    assert asyncio.run(bundles.take("ap-1", digest, archive, is_durable=False)) == ""
    environment = Environment("/clients/py", "/clients", ("/clients/lib",), {"HOME": "/clients", "A": "1"}, digest)
    spec = FunctionSpec("f", Source("m", "f", "/clients/lib/m.py"))
    containers.launch(replace(start("ta-0"), spec=spec, environment=environment))
    (order,) = backend.orders
    data: Any = Received()
    assert containers.connected(data, Hello("container", PROTOCOL, "ta-0", order.token)) is None
    (load,) = data.messages
    assert "clients" not in repr((order, load))
    there = Environment("", "", (), {"A": "1"}, digest, f"/node/bundles/{digest}")
    assert order.environment == load.environment == there
    assert order.spec == load.spec == FunctionSpec("f", Source("m", "f"))


def accepted(containers: Containers, tokens: Sequence[str]) -> list[str]:
    return [token for token in tokens if containers.has_token(token)]


def start(container_id: str) -> StartContainer:
    return StartContainer(
        container_id=container_id,
        app_id="ap-1",
        function_id="fu-1",
        function_ids={},
        spec=FunctionSpec("f", Source("m", "f")),
        environment=Environment("/py", "/", ()),
        version=0,
        node="n",
    )
