"""The server and its machines as documents. This module must not know apps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import asdict

from swell.documents.containers import ContainerSummary, container_summary
from swell.documents.document import Document, Moment, moment
from swell.errors import NotFoundError
from swell.model import RefusedNode
from swell.wire.queries import ContainerRow, Status
from swell.wire.stats import LinkRow, NodeRow, Observation

__all__ = [
    "LoginToken",
    "Node",
    "NodeDescription",
    "NodeLink",
    "NodeList",
    "RefusedMachine",
    "Server",
    "ServerStatus",
    "node",
    "node_description",
    "node_row",
    "refused_machines",
    "server",
    "server_status",
]


class RefusedMachine(Document, frozen=True, kw_only=True):
    """One that is there and gets no containers."""

    name: str
    reason: str  #: such as another version of Python, and what to do about it


class Server(Document, frozen=True, kw_only=True):
    """Which server it is."""

    version: str
    pid: int
    started_at: Moment | None
    address: str  #: where programs on this machine reach it


class ServerStatus(Server, frozen=True, kw_only=True):
    """How the server is doing."""

    data_dir: str  #: empty for a server that keeps nothing
    web_url: str  #: where web endpoints answer; empty if nothing listens
    web_trouble: str  #: why nothing listens
    remote_address: str  #: where programs on other machines reach it; empty if they cannot
    refused_nodes: list[RefusedMachine]
    nodes_trouble: str  #: why there are fewer nodes than there should be; empty if nothing is wrong
    apps: int
    containers: int
    pending: int  #: inputs that wait
    running: int  #: inputs that containers have
    done: int  #: inputs that have ended since the server started


def server(seen: Observation) -> Server:
    """Return which server was observed."""
    return Server(version=seen.version, pid=seen.pid, started_at=moment(seen.started_at), address=seen.address)


def server_status(status: Status) -> ServerStatus:
    """Return how a server is doing."""
    return ServerStatus(
        version=status.version,
        pid=status.pid,
        started_at=moment(status.started_at),
        address=status.address,
        data_dir=status.data_dir,
        web_url=status.web_url,
        web_trouble=status.web_trouble,
        remote_address=status.remote_address,
        refused_nodes=refused_machines(status.refused_nodes),
        nodes_trouble=status.nodes_trouble,
        apps=status.apps,
        containers=status.containers,
        pending=status.pending,
        running=status.running,
        done=status.done,
    )


class NodeLink(Document, frozen=True, kw_only=True):
    """How a node elsewhere has been connected with the server since it came."""

    heard_at: Moment | None  #: when it gave a sign of life last
    round_trip_s: float | None  #: how long a word and its answer took last; null before the first
    received_bytes: int  #: of messages and files that came from it
    sent_bytes: int  #: likewise, to it


class Node(Document, frozen=True, kw_only=True):
    """One machine, and what containers have requested of it."""

    name: str
    cores: float
    busy_cores: float  #: that containers keep busy, as measured last
    cpu_used: float  #: cores that containers have requested
    memory_bytes: int
    memory_used_bytes: int  #: that containers have requested
    gpus: int
    gpus_used: int  #: that containers have
    containers: int  #: on it
    state: str  #: "ready", "draining", or "drained" once it has no containers
    drain_until: Moment | None  #: when the machine is gone, if it drains and that is known
    started: int  #: containers that were ever started on it
    lost: int  #: of these, those that died while they were needed
    link: NodeLink | None  #: null for the server's own machine


class NodeDescription(Node, frozen=True, kw_only=True):
    """One machine, and the containers on it, the latest first."""

    on_it: list[ContainerSummary]


class NodeList(Document, frozen=True, kw_only=True):
    """The machines on which containers run."""

    nodes: list[Node]
    refused_nodes: list[RefusedMachine]  #: those that are not let in


def refused_machines(nodes: Iterable[RefusedNode]) -> list[RefusedMachine]:
    """Return machines that are refused."""
    return [RefusedMachine(name=node.name, reason=node.reason) for node in nodes]


def node(row: NodeRow) -> Node:
    """Return one machine."""
    return Node(
        name=row.name,
        cores=row.cores,
        busy_cores=row.busy_cores,
        cpu_used=row.cpu_used,
        memory_bytes=row.memory_bytes,
        memory_used_bytes=row.memory_used_bytes,
        gpus=row.gpus,
        gpus_used=row.gpus_used,
        containers=row.containers,
        state=row.state,
        drain_until=moment(row.drain_until),
        started=row.started,
        lost=row.lost,
        link=None if row.link is None else _link(row.link),
    )


def _link(row: LinkRow) -> NodeLink:
    return NodeLink(
        heard_at=moment(row.heard_at),
        round_trip_s=row.round_trip_s,
        received_bytes=row.received_bytes,
        sent_bytes=row.sent_bytes,
    )


def node_row(name: str, rows: Sequence[NodeRow]) -> NodeRow:
    """Return the row of a node.

    Raises:
        NotFoundError: there is none of that name.
    """
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        others = f"there are {', '.join(row.name for row in rows)}" if rows else "there are none yet"
        raise NotFoundError(f"there is no node {name!r:.200}; {others}")
    return row


def node_description(row: NodeRow, containers: Iterable[ContainerRow]) -> NodeDescription:
    """Return one machine, with those of some containers that are on it."""
    on_it = [container_summary(each) for each in containers if each.node == row.name]
    return NodeDescription(**asdict(node(row)), on_it=on_it)


class LoginToken(Document, frozen=True, kw_only=True):
    """A token that logs in one browser, once."""

    token: str
    path: str  #: to open in the browser, below the root of this server
    expires_in_s: float
