"""Containers on nodes that share nothing with the server: each has an agent, which dials the server over TCP and TLS.

    AgentProvider ── starts ──▶ agents ══ link ══▶ AgentBackend ── Connection, as for a container of this machine

Who starts agents is another's business (`AgentProvider`): they are processes of this machine, or actors of a cluster.
An agent is let in by a token that is used once; it recognizes the server by the fingerprint of a certificate that is
made anew at each start. There is no listener without TLS.

This module must not know how a node runs containers, or what containers and server say to each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from swell.backends.agents.admission import misfit
from swell.backends.agents.bulk import BulkServer
from swell.backends.agents.node import AgentNode
from swell.errors import NotFoundError
from swell.link.certificate import TlsAddress, make_certificate, server_context
from swell.link.connection import Link
from swell.link.frames import End
from swell.link.tls_port import TlsPort
from swell.link.words import Greeting, Welcome
from swell.listening import listen_at
from swell.model import Lack, RefusedNode
from swell.ports import BackendListener, LaunchOrder, NodeLink, NodeLoad, NodePaths, Pipe

__all__ = ["AgentBackend", "AgentProvider", "Invitation"]

log = logging.getLogger("swell.server")

REFUSED_MAX: Final = 100  #: nodes of which it is kept why they were not let in
LOADS_TOLD_S: Final = 0.005  #: between two looks at all nodes because of loads: each node tells its own, often
LOOK_S: Final = 100e-6  #: the same for each node, if that is longer: a look takes a few microseconds for each
HANDSHAKES_MAX: Final = 128  #: connections that are no links yet; many agents may come together
LOOPBACK: Final = ("", "127.0.0.1", "::1")  #: addresses that say nothing of which machine it is
LINKS_PENDING_MAX: Final = 256  #: links whose agent has not said who it is


class Invitation(Struct, frozen=True):
    """What an agent is to be told by whoever starts it, over a way that is trusted."""

    server: str  #: tls://HOST:PORT#FINGERPRINT
    token: str  #: lets in one agent, once
    node: str  #: the name of its node


class AgentProvider(Protocol):
    """Starts agents, and ends them."""

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """As `Backend.want_room`."""
        ...

    def release(self, name: str) -> None:
        """End the agent of a node that has no containers."""
        ...

    async def start(self, backend: AgentBackend) -> None:
        """Begin to start agents, each with an invitation of the backend, once that listens where they reach it."""
        ...

    def lost(self, name: str, why: str) -> None:
        """The link to an agent is over, or it was not let in: it ends, and another may be started."""
        ...

    def let_in(self, name: str) -> None:
        """An agent was let in."""
        ...

    def trouble(self) -> str:
        """Return why there are fewer agents than there should be, in words; "" if nothing is wrong."""
        ...

    async def stop(self) -> None:
        """Wait until the agents that were told to stop have ended; end those that do not."""
        ...


class AgentBackend:
    """A backend over agents. Implements `swell.ports.Backend`."""

    is_local = False
    listener: BackendListener

    def __init__(
        self,
        provider: AgentProvider,
        connect: Callable[[], asyncio.Protocol],
        *,
        bulk: BulkServer,
        protocol: int,
        timeout_s: float,
        blob_bytes_max: int,
    ) -> None:
        """Prepare; nothing happens before `start`.

        Args:
            provider: starts the agents.
            connect: makes the server's end of a container's connection.
            bulk: carries files to agents and back.
            protocol: what containers have to speak.
            timeout_s: after how long without a sign of life a node counts as lost.
            blob_bytes_max: what blobs may take on a node.
        """
        self._provider = provider
        self.connection = connect
        self._bulk = bulk
        self._bulk_port = 0
        self._blob_bytes_max = blob_bytes_max
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._address = ""
        self._port: TlsPort | None = None
        self._invited: dict[bytes, str] = {}  # names of nodes by the digest of the token
        self._pending: dict[AgentNode, None] = {}  # not let in yet, the oldest first
        self._nodes: dict[str, AgentNode] = {}  # those that are let in
        self._refused: dict[str, str] = {}  # why nodes were not let in, by name, the latest last
        self._places: dict[str, AgentNode] = {}  # by container, while it is there
        self._waiters: list[asyncio.Future[None]] = []
        self._has_started = False
        self._telling: asyncio.TimerHandle | None = None  # the listener will look at the nodes
        self._told_at = -math.inf  # when it has last
        self._is_telling = False  # the next look is taken because something was told

    async def listen(self, host: str) -> None:
        """Listen for agents at an address of this machine that they reach; before that, none can be invited.

        Raises:
            OSError: the address is none of this machine.
        """
        context, fingerprint = server_context(make_certificate())
        endpoint = listen_at(host, 0, any_port=False)
        port = endpoint.getsockname()[1]
        self._port = TlsPort(
            endpoint,
            context,
            lambda: Link(End.SERVER, AgentNode(self), self._timeout_s),
            strangers_max=HANDSHAKES_MAX,
            logger=log,
        )
        self._address = str(TlsAddress(host, port, fingerprint))
        self._bulk_port = self._bulk.start(host, context)

    def invite(self, node: str) -> Invitation:
        """Return what lets one agent in."""
        token = secrets.token_urlsafe(32)
        self._invited[_digest(token)] = node
        return Invitation(self._address, token, node)

    def has_node(self, node: str) -> bool:
        """True if an agent was let in, and its node is there for containers."""
        known = self._nodes.get(node)
        return known is not None and known.load is not None

    def withdraw(self, node: str) -> bool:
        """Let in no agent for this node; False if one was let in."""
        found = [token for token, name in self._invited.items() if name == node]
        for token in found:
            del self._invited[token]
        if found and not self._invited:
            self._tell()
        return bool(found)

    async def wait_for(self, count: int) -> None:
        """Wait until so many nodes are there for containers."""
        while sum(node.load is not None for node in self._nodes.values()) < count:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    # ------------------------------------------------------------ the port

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Have agents started, without waiting for them."""
        self.listener = listener
        self._has_started = True
        await self._provider.start(self)

    def launch(self, order: LaunchOrder) -> None:
        """Have the agent of its node start a container."""
        node = self._nodes.get(order.node)
        if node is None:
            why = f"node {order.node} is gone"
            asyncio.get_running_loop().call_soon(self.listener.container_exited, order.container_id, why, False)
            return
        self._places[order.container_id] = node
        node.launch(order)

    def interrupt(self, container_id: str) -> None:
        """Have a container sent SIGINT. Unknown ids are ignored."""
        if (node := self._places.get(container_id)) is not None:
            node.interrupt(container_id)

    def kill(self, container_id: str) -> None:
        """Have a container killed. Unknown ids are ignored."""
        if (node := self._places.get(container_id)) is not None:
            node.kill(container_id)

    def exec(self, container_id: str, user: Pipe) -> Pipe:
        """Return a pipe to a command beside a container, which the agent of its node runs."""
        node = self._places.get(container_id)
        if node is None:
            raise NotFoundError(f"container {container_id!r} does not run here, or has not started yet")
        return node.exec(container_id, user)

    def observe(self, is_ready: Callable[[str], bool]) -> Sequence[NodeLoad]:
        """Return the nodes and the load that each has told last, and have it told often for a while.

        Who looks because a node has told its load waits for nothing: without this difference, each load would cause
        the next.
        """
        watches, self._is_telling = not self._is_telling, False
        loads = [node.observe(is_ready if watches else None) for node in self._nodes.values()]
        return [load for load in loads if load is not None]

    def refused(self) -> Sequence[RefusedNode]:
        """Return the nodes that were not let in."""
        return [RefusedNode(name, why) for name, why in self._refused.items()]

    def awaits_nodes(self) -> bool:
        """Tell whether an agent was invited that has not come, or has not told its load yet."""
        return bool(self._invited) or any(node.load is None for node in self._nodes.values())

    def trouble(self) -> str:
        """Return why there are fewer nodes than there should be."""
        return self._provider.trouble()

    def paths_of(self, node: str) -> NodePaths | None:
        """Return the directories of a node."""
        known = self._nodes.get(node)
        if known is None or known.greeting is None:
            return None
        greeting = known.greeting
        return NodePaths(greeting.blob_dir, greeting.web_dir, greeting.shelf, greeting.bundle_dir, known.web)

    def link_of(self, node: str) -> NodeLink | None:
        """Return how a node is connected."""
        known = self._nodes.get(node)
        return None if known is None else known.link_state(self._bulk.carried(node))

    def deleted(self, name: str) -> None:
        """Have the copies of a blob or a bundle deleted."""
        for node in self._bulk.deleted(name):
            if (holder := self._nodes.get(node)) is not None:
                holder.forget(name)

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """Have agents started that hold what fits on no node, if there is who can."""
        self._provider.want_room(lacks)

    def release_node(self, name: str) -> None:
        """Have a node that has no containers end."""
        self._provider.release(name)

    async def stop(self) -> None:
        """Stop all agents, and listen no more."""
        if not self._has_started:
            return
        if self._telling is not None:
            self._telling.cancel()
        if self._port is not None:
            self._port.close()
        for node in self._nodes.values():
            node.stop()
        await self._provider.stop()
        for node in [*self._nodes.values(), *self._pending]:
            node.end("the server ends")
        self._bulk.close()

    # ------------------------------------------------------------ links

    def came(self, node: AgentNode) -> None:
        """Somebody has connected, and may say who it is."""
        if len(self._pending) >= LINKS_PENDING_MAX:
            next(iter(self._pending)).end("too many others came that did not say who they are")
        self._pending[node] = None

    def admit(self, node: AgentNode, greeting: Greeting) -> str:
        """Let in an agent that was invited and speaks as this server does; return why not."""
        self._pending.pop(node, None)
        name = self._invited.get(_digest(greeting.token))
        if name is None or name != greeting.node.name:
            return "the token is not one that lets an agent in, or was used before"
        if why := misfit(greeting, self._protocol):
            if node.host not in LOOPBACK:
                why = f"{why} (at {node.host})"
            self._provider.lost(name, f"it is refused: {why}")
            self.withdraw(name)
            self._refuse(name, why)
            return why
        self.withdraw(name)
        self._refused.pop(name, None)
        self._nodes[name] = node
        self._provider.let_in(name)
        return ""

    def _refuse(self, name: str, why: str) -> None:
        self._refused.pop(name, None)
        self._refused[name] = why
        if len(self._refused) > REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._tell()

    def welcome(self, name: str) -> Welcome:
        """Return what an agent is told that is let in: among it, by what the edge recognizes it, and it the edge."""
        return Welcome(
            self._bulk_port,
            self._bulk.admit(name),
            self._blob_bytes_max,
            web_certificate=make_certificate(),
            web_token=secrets.token_urlsafe(32),
        )

    def drop_blob(self, name: str) -> None:
        """Delete a blob that a container has read and nobody else reads."""
        if self._bulk.delete(name):
            self.deleted(name)

    def changed(self, node: AgentNode) -> None:
        """A node has told its load; the first time, it is there for containers."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._tell_soon()

    def forget_refusal(self, node: str) -> None:
        """Tell no more that a node was refused: another was started in its place."""
        if self._refused.pop(node, None) is not None:
            self._tell()

    def trouble_changed(self) -> None:
        """What the provider says in `trouble` has changed."""
        self._tell()

    def drains(self, name: str, deadline_s: float | None) -> None:
        """Whoever gives a node will take it away."""
        self.listener.node_drains(name, deadline_s)

    def forget(self, container_id: str) -> None:
        """A container is gone."""
        self._places.pop(container_id, None)

    def lost(self, node: AgentNode, why: str) -> None:
        """A node is gone."""
        self._pending.pop(node, None)
        if self._nodes.get(node.name) is node:
            del self._nodes[node.name]
            self._bulk.expel(node.name)
            self._provider.lost(node.name, why)
            self._tell()

    def _tell_soon(self) -> None:
        """Have the listener look at the nodes, once for all loads that come within a moment."""
        if self._telling is None:
            loop = asyncio.get_running_loop()
            wait_s = self._told_at + max(LOADS_TOLD_S, LOOK_S * len(self._nodes)) - loop.time()
            if wait_s <= 0:
                self._tell()
            else:
                self._telling = loop.call_later(wait_s, self._tell)

    def _tell(self) -> None:
        """Have the listener look at the nodes."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told_at = asyncio.get_running_loop().time()
        self._is_telling = True
        self.listener.nodes_changed()
        self._is_telling = False


def _digest(token: str) -> bytes:
    """Return that by which a token is looked up: how long this takes tells nothing of the tokens there are."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
