"""The containers that this server has started: their orders, their two connections each, and their last words.

This module must not know the messages to a container, or why one is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from swell.config import Settings
from swell.engine import events as e
from swell.errors import AuthError, Error, InvalidError
from swell.model import MemoryExcess
from swell.policy.leasing import may_lease
from swell.policy.portable import portable_environment, portable_spec
from swell.ports import Backend, LaunchOrder
from swell.server.bundles import Bundles
from swell.server.connection import Connection
from swell.server.paths import ServerPaths
from swell.wire.bundle import EMPTY
from swell.wire.leases import LeaseGranted, socket_name
from swell.wire.messages import Deliver, Hello, Load
from swell.wire.web import Leased
from swell.wire.web_names import socket_path

__all__ = ["Containers"]

log = logging.getLogger("swell.server")

#: How long a dead container's last messages may take to be read; they are in the socket's buffer already.
LAST_MESSAGES_S = 1.0


class _Container:
    """One container: its order and its two connections."""

    __slots__ = ("calls_at", "control", "data", "end", "function_ids", "is_launched", "order", "was_killed", "web")

    def __init__(self, order: LaunchOrder, function_ids: dict[str, str]) -> None:
        self.order = order
        self.function_ids = function_ids
        self.data: Connection | None = None
        self.control: Connection | None = None
        self.end: e.ContainerExited | None = None  #: it has exited, but its last messages are not read yet
        self.is_launched = False  #: the backend has been asked for it
        self.was_killed = False  #: before it was launched
        self.web = ""  #: where the edge reaches it; "": on this machine
        self.calls_at = ""  #: path of its socket for direct calls; "": it gets none


class Containers:
    """Launches containers, knows them by their connections, and reports their ends."""

    def __init__(
        self,
        backend: Backend,
        settings: Settings,
        paths: ServerPaths,
        bundles: Bundles,
        feed: Callable[[e.Event], None],
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._paths = paths
        self._bundles = bundles
        self._feed = feed
        self._known: dict[str, _Container] = {}
        self._tokens: dict[bytes, _Container] = {}  # the known ones by the digests of their tokens

    # ------------------------------------------------------------ effects

    def launch(self, effect: e.StartContainer) -> None:
        """Start a container, as soon as its source files are in place."""
        spec, environment = effect.spec, effect.environment
        if not self._backend.is_local:
            spec = portable_spec(spec)
            environment = portable_environment(environment, environment.bundle or EMPTY)  # "": of a former version
        order = LaunchOrder(
            container_id=effect.container_id,
            app_id=effect.app_id,
            function_id=effect.function_id,
            spec=spec,
            environment=environment,
            node=effect.node,
            gpus=effect.gpus,
            token=secrets.token_hex(16),
        )
        known = self._known[order.container_id] = _Container(order, effect.function_ids)
        self._tokens[_digest(order.token)] = known
        digest = environment.bundle
        if digest:
            self._bundles.fetch(effect.app_id, digest, lambda place, why: self._launch_in(known, place, why))
        else:
            self._launch(known)

    def _launch(self, known: _Container) -> None:
        self._backend.launch(known.order)
        known.is_launched = True

    def _launch_in(self, known: _Container, place: str, why: str) -> None:
        order = known.order
        if known.was_killed or why:
            reason = why or "killed before it was launched"
            self.exited(order.container_id, reason, started=False)
            return
        if (paths := self._backend.paths_of(order.node)) is not None:
            place = os.path.join(paths.bundle_dir, order.environment.bundle)
        known.order = replace(order, environment=replace(order.environment, bundle_dir=place))
        self._launch(known)

    def send(self, effect: e.SendToContainer) -> None:
        """Send a message to a container: deliveries on its data channel, everything else on its control channel."""
        known = self._known.get(effect.container_id)
        if known is None:
            return
        connection = known.data if isinstance(effect.message, Deliver) else known.control
        if connection is not None:
            connection.send(effect.message, effect.payload)

    def kill(self, effect: e.KillContainer) -> None:
        """Have a container killed."""
        container_id, reason = effect.container_id, effect.reason
        log.info("killing container %s: %s", container_id, reason, extra={"container_id": container_id})
        known = self._known.get(effect.container_id)
        if known is not None:
            known.was_killed = True
        self._backend.kill(effect.container_id)

    # ------------------------------------------------------------ connections

    def connected(self, connection: Connection, hello: Hello) -> Error | None:
        """Let a container in, or return why not."""
        known = self._known.get(hello.name)
        if hello.role not in ("container", "control") or known is None:
            return AuthError(f"no container {hello.name!r:.200} with role {hello.role!r:.200} is expected")
        if not secrets.compare_digest(hello.token.encode(), known.order.token.encode()):
            return AuthError(f"the token is not that of container {hello.name}")
        if hello.role == "control":
            known.control = connection
        else:
            known.data = connection
            connection.send(self._load(known))
        return None

    def lags(self, connection: Connection) -> None:
        """Kill a container that does not read its control channel. On its data channel, its slots bound what waits."""
        known = self._known.get(connection.name)
        if known is not None and known.control is connection:
            self.give_up(connection.name, f"it does not read its orders: {connection.unsent >> 20} MiB wait for it")

    def give_up(self, container_id: str, why: str) -> None:
        """Kill a container that cannot be used; one that was never launched is reported gone."""
        known = self._known.get(container_id)
        if known is None:
            return
        log.warning("killing container %s: %s", container_id, why, extra={"container_id": container_id})
        known.was_killed = True
        if known.is_launched:
            self._backend.kill(container_id)
        else:
            asyncio.get_running_loop().call_soon(partial(self.exited, container_id, why, started=False))

    def disconnected(self, connection: Connection) -> None:
        """One of a container's connections is gone."""
        known = self._known.get(connection.name)
        if known is None or known.data is not connection:
            return
        known.data = None
        if known.end is not None:
            self._report_end(known)
        else:
            self._backend.kill(connection.name)  # it is useless without its channel; its exit is reported next

    def has_token(self, token: str) -> bool:
        """Tell whether a token is one by which a container, or the code in it, authenticates.

        What is looked up is its digest: the time that takes says nothing about how much of a token was right.
        """
        return _digest(token) in self._tokens

    def shelf_of(self, token: str) -> tuple[str, str]:
        """Return the directory of blobs, and where these are fetched, for a client with this token.

        The code in a container has those of its node, anybody else the server's.
        """
        known = self._tokens.get(_digest(token))
        paths = None if known is None else self._backend.paths_of(known.order.node)
        return (str(self._paths.blob_dir), "") if paths is None else (paths.blob_dir, paths.shelf)

    def close(self) -> None:
        """Close all connections."""
        for known in self._known.values():
            for connection in (known.data, known.control):
                if connection is not None:
                    connection.close()

    def _load(self, known: _Container) -> Load:
        order, settings = known.order, self._settings
        paths = self._backend.paths_of(order.node)
        known.web = "" if paths is None else paths.web
        if paths is None and settings.call_leases and may_lease(order.spec):
            known.calls_at = os.path.join(self._paths.web_dir, socket_name(order.container_id))
        blob_dir, shelf = self.shelf_of(order.token)
        return Load(
            function_id=order.function_id,
            spec=order.spec,
            environment=order.environment,
            function_ids=known.function_ids,
            blob_dir=blob_dir,
            payload_inline_max=settings.payload_inline_max,
            payload_max=settings.payload_max,
            frame_max=settings.frame_max,
            exit_grace_s=settings.exit_grace_s,
            web_dir=str(self._paths.web_dir) if paths is None else paths.web_dir,
            shelf=shelf,
            calls_at=known.calls_at,
        )

    # ------------------------------------------------------------ what the backend reports

    def started(self, container_id: str) -> None:
        """The process exists."""
        self._feed(e.ContainerStarted(container_id))

    def exited(self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None) -> None:
        """The process is gone; what it sent before counts, so its channel is read to the end first."""
        known = self._known.get(container_id)
        if known is None:
            return
        known.end = e.ContainerExited(container_id, reason, started, excess)
        if known.data is None:
            self._report_end(known)
        else:
            asyncio.get_running_loop().call_later(LAST_MESSAGES_S, self._report_end, known)

    def _report_end(self, known: _Container) -> None:
        container_id = known.order.container_id
        if known.end is None or self._known.pop(container_id, None) is None:
            return
        self._tokens.pop(_digest(known.order.token), None)
        for connection in (known.data, known.control):
            if connection is not None:
                connection.close()
        self._remove_sockets(known)
        self._feed(known.end)

    def _remove_sockets(self, known: _Container) -> None:
        """Remove the sockets that a killed container has left here; its node removes others."""
        order = known.order
        for method in order.spec.web_methods:
            with contextlib.suppress(FileNotFoundError, InvalidError):  # a socket with too long a path was never made
                os.unlink(socket_path(str(self._paths.web_dir), order.container_id, method))
        if known.calls_at:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(known.calls_at)

    # ------------------------------------------------------------ questions

    def order_of(self, container_id: str) -> LaunchOrder | None:
        """Return the launch order of a container that is not gone."""
        known = self._known.get(container_id)
        return None if known is None else known.order

    def located(self, lease: Leased) -> Leased:
        """Return the lease of a request with where its container is reached."""
        known = self._known.get(lease.container_id)
        return lease if known is None or not known.web else replace(lease, where=known.web)

    def addressed(self, lease: LeaseGranted) -> LeaseGranted:
        """Return a lease of calls with the address of its container; one that has just exited has none."""
        known = self._known.get(lease.container_id)
        return lease if known is None or not known.calls_at else replace(lease, address=f"unix:{known.calls_at}")

    def has_exited(self, container_id: str) -> bool:
        """Tell whether a container can write nothing more."""
        known = self._known.get(container_id)
        return known is None or known.end is not None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
