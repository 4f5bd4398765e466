"""Every message to a server has one place in the tables that route messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import ProcessBackend
from swell.config import Settings
from swell.engine.client_messages import client_routes
from swell.engine.container_messages import container_routes
from swell.engine.state.engine_state import EngineState
from swell.engine.wiring import Rules
from swell.server.control_plane import ControlPlane
from swell.server.paths import ServerPaths
from swell.store.memory.store import MemoryStore
from swell.wire.apps import DeployApp
from swell.wire.leases import Announce
from swell.wire.messages import Hello, OpenApp, ToServer


def test_every_message_to_a_server_is_routed_once(tmp_path: Path) -> None:
    plane = ControlPlane(
        settings=Settings(),
        backend=ProcessBackend(NvmlProvider(), tmp_path, 1_000),
        store=MemoryStore(lambda action: None),
        paths=ServerPaths("unix:/nowhere", tmp_path),
        seed="",
    )
    rules = Rules(EngineState(Settings(), ""))
    engine = [row.kind for row in client_routes(rules)] + list(container_routes(rules))
    server = plane._handlers.keys() - {OpenApp, DeployApp}  # the engine handles these, when their bundle is unpacked
    connection = [Hello]
    routed = Counter([*engine, *server, *connection])
    assert set(routed) == set(get_args(ToServer))
    assert {kind for kind, times in routed.items() if times > 1} == {Announce}, "clients and containers say that"
