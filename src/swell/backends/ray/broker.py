"""The broker: `python -m swell.backends.ray.broker`, child of a server, which talks to Ray so that the server need not.

    server ══ socket pair, the standard input ══ broker ── Ray's driver

Ray's driver brings threads, and ends its process when the cluster's head is away for long; here that costs nothing:
agents and their links do not need the broker. The server starts another, which finds the agents by their names.

It looks at the cluster in turns, and waits for the server in between. Ray may let it wait in any of these, for as long
as its head is stopped or away; a thread that Ray does not know says so to the server, and that this process lives.

When the server is gone, however that ended, it ends what it has started in this run, those agents included that still
wait for resources, and then itself. Agents of another run may be those of the server's successor. The end of the socket
means nothing else: a server that wants another broker kills this one before it lets go of the socket, so that none
which was frozen and comes back can end agents that its successor looks after.

This module must not know how Ray is asked, or what agents do.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from swell.backends.ray.messages import (
    SIZE_BYTES,
    Begin,
    BrokerError,
    Connected,
    Failed,
    Gone,
    Nodes,
    Ping,
    Pong,
    RayNode,
    Release,
    Scaling,
    Start,
    Started,
    ToServer,
    decode_to_broker,
    encode,
    size_of,
)
from swell.backends.ray.placing import all_free_on, freest, with_room
from swell.errors import Error
from swell.linux import set_name
from swell.signals import reset_signals
from swell.slices import Slice

__all__ = ["Broker", "Cluster", "main"]

LOOK_S: Final = 0.1  #: between two looks at the actors
NODES_S: Final = 1.0  #: between two looks at the machines
UNSTARTED_S: Final = 30.0  #: after which an agent for all that is free on a machine may get another machine
WHY_MAX: Final = 500  #: characters of the reason for which a broker ends
END_S: Final = 15.0  #: how long ending what was started may take; Ray may not answer any more

#: Of Ray, unless the user has said otherwise. It would take a program started by `uv run` for its driver, and send the
#: directory of this process to all machines; and it would tell its makers of each small Ray that is started here.
_DEFAULTS: Final = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class Cluster(Protocol):
    """What there is to know of Ray; `swell.backends.ray.cluster.RayCluster` implements it."""

    def connect(self, begin: Begin) -> Connected:
        """Connect, and follow the agents that are there."""
        ...

    def nodes(self) -> tuple[RayNode, ...]:
        """Return the machines that are alive."""
        ...

    def scaling(self) -> Scaling:
        """Return what the autoscaler does for agents that wait."""
        ...

    def start(self, agent: str, order: bytes, held: Slice, node: str = "", *, elsewhere: bool = False) -> None:
        """Have an agent started as soon as there is room, on a certain machine or else, if it may be, elsewhere."""
        ...

    def end(self, agent: str) -> None:
        """End an agent."""
        ...

    def take_news(self) -> Sequence[Started | Gone]:
        """Return which agents have started and ended."""
        ...

    def close(self) -> None:
        """Leave the cluster."""
        ...


class _Placed:
    """An agent for all that is free on a machine, on its way there."""

    def __init__(self, start: Start, node: str, until: float) -> None:
        self.start, self.node, self.until = start, node, until


class Broker:
    """The broker at work."""

    def __init__(self, server: socket.socket, load: Callable[[], Cluster], left: Callable[[], None]) -> None:
        """Prepare.

        Args:
            server: the socket to it.
            load: returns what is known of Ray; it takes its time.
            left: called in a thread of its own when the server is gone.
        """
        self._server = server
        self._sending = threading.Lock()
        self._left = left
        self._load = load
        self._cluster: Cluster
        self._turn_at = time.monotonic()  # when the last turn began; the first is that of loading and connecting
        self._inbox: queue.SimpleQueue[Begin | Start | Release | None] = queue.SimpleQueue()  # None: the server is gone
        self._run = ""
        self._agents: set[str] = set()  # those that the cluster follows
        self._unplaced: dict[str, Start] = {}
        self._placed: dict[str, _Placed] = {}
        self._whole: dict[str, str] = {}  # machines by the agents that have all of them
        self._nodes: tuple[RayNode, ...] = ()
        self._scaling = Scaling()
        self._nodes_at = 0.0

    def run(self) -> None:
        """Work until the server is gone.

        Raises:
            Error: the cluster cannot be used.
        """
        threading.Thread(target=self._read, name="server", daemon=True).start()
        begin = self._inbox.get()
        if not isinstance(begin, Begin):
            return
        self._run = begin.run
        self._cluster = self._load()
        connected = self._cluster.connect(begin)
        self._agents = set(connected.agents)
        self._send(connected)
        while self._take_messages():
            self._look()
        for agent in self._agents:
            if agent.startswith(self._run):
                self._cluster.end(agent)
        self._cluster.close()

    # ------------------------------------------------------------ the server

    def _read(self) -> None:
        """Answer the server, and hand over what else it says, to its end."""
        with contextlib.suppress(OSError, BrokerError), self._server.makefile("rb") as stream:
            while len(head := stream.read(SIZE_BYTES)) == SIZE_BYTES:
                size = size_of(head)
                if len(body := stream.read(size)) < size:
                    break
                message = decode_to_broker(body)
                if isinstance(message, Ping):
                    self._send(Pong(time.monotonic() - self._turn_at))
                else:
                    self._inbox.put(message)
        self._inbox.put(None)
        self._left()

    def _take_messages(self) -> bool:
        """Do what the server wants, or wait a moment for it; False if it is gone."""
        self._turn_at = time.monotonic()
        with contextlib.suppress(queue.Empty):
            message = self._inbox.get(timeout=LOOK_S)
            while message is not None:
                self._take(message)
                message = self._inbox.get_nowait()
            return False
        return True

    def _take(self, message: Begin | Start | Release) -> None:
        match message:
            case Start(agent, order, held, avoid):
                if held is None:
                    self._unplaced[agent] = message
                else:
                    self._agents.add(agent)
                    node = with_room(self._nodes, held, avoid) if avoid else ""
                    self._cluster.start(agent, order, held, node, elsewhere=True)
            case Release(agent):
                self._unplaced.pop(agent, None)
                self._placed.pop(agent, None)
                self._whole.pop(agent, None)
                self._agents.discard(agent)
                self._cluster.end(agent)
            case Begin():
                raise BrokerError("it was told twice to begin")

    def _send(self, message: ToServer) -> None:
        with contextlib.suppress(OSError), self._sending:  # it is gone, which `_read` notices
            self._server.sendall(encode(message))

    # ------------------------------------------------------------ the cluster

    def _look(self) -> None:
        now = time.monotonic()
        for news in self._cluster.take_news():
            self._placed.pop(news.agent, None)
            if isinstance(news, Gone):
                self._agents.discard(news.agent)
                self._whole.pop(news.agent, None)
            self._send(news)
        if now >= self._nodes_at + NODES_S:
            self._nodes_at = now
            self._look_at_nodes()
            self._place(now)
        elif self._unplaced:
            self._place(now)

    def _look_at_nodes(self) -> None:
        nodes, scaling = self._cluster.nodes(), self._cluster.scaling()
        if (nodes, scaling) != (self._nodes, self._scaling):
            self._nodes, self._scaling = nodes, scaling
            self._send(Nodes(nodes, scaling))

    def _place(self, now: float) -> None:
        """Give agents that take all that is free on a machine one each."""
        for agent, placed in list(self._placed.items()):
            if now >= placed.until:  # others were faster, or the machine is gone
                self._cluster.end(agent)
                del self._placed[agent], self._whole[agent]
                self._unplaced[agent] = placed.start
        for agent, start in list(self._unplaced.items()):
            node = freest(self._nodes, self._whole.values(), start.avoid)
            if node is None:
                return
            del self._unplaced[agent]
            self._whole[agent] = node.node
            self._placed[agent] = _Placed(start, node.node, now + UNSTARTED_S)
            self._agents.add(agent)
            self._cluster.start(agent, start.order, all_free_on(node), node.node)


def _load_ray() -> Cluster:
    from swell.backends.ray.cluster import RayCluster

    return RayCluster()


def _end_in_time() -> None:
    """End this process, should it not end by itself."""
    time.sleep(END_S)
    os._exit(os.EX_UNAVAILABLE)


def main() -> None:
    """Work for the server at the standard input."""
    reset_signals()
    set_name("swell-broker")
    server = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        Broker(server, _load_ray, _end_in_time).run()
    except Error as error:
        _tell_failure(server, str(error))
    except Exception as error:  # Ray raises errors of many types, and nobody reads what this process writes
        _tell_failure(server, f"its broker has failed: {type(error).__name__}: {error}")


def _tell_failure(server: socket.socket, why: str) -> None:
    with contextlib.suppress(OSError):
        server.sendall(encode(Failed(why[:WHY_MAX])))


if __name__ == "__main__":
    main()
