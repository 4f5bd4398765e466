"""One node: the server's end of the link to its agent, from the agent's first word to the end of the link.

A node is there for containers when its agent has told its load for the first time. When the link ends, all its
containers are lost, for the agent kills them as well; they are reported a few at a time, since each costs the engine as
much as any other event. This module must not know how agents are started, or which node a container goes to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from msgspec.structs import replace

from swell.errors import NotFoundError, ResourceExhausted
from swell.link.certificate import TlsAddress, fingerprint_in
from swell.link.connection import Channel, Link
from swell.link.frames import WORD_MAX, LinkError
from swell.link.pipe import PipeChannel
from swell.link.transport import ChannelTransport
from swell.link.web import WebAddress
from swell.link.words import (
    Drop,
    Exec,
    Exited,
    Forget,
    Greeting,
    Interrupt,
    Kill,
    Launch,
    Load,
    Ping,
    Pong,
    Refused,
    Report,
    ReportDecoder,
    Started,
    Stop,
    Watch,
    WebOpen,
    Welcome,
    Word,
    Wrote,
    decode_to_server,
    encode,
)
from swell.ports import BackendListener, LaunchOrder, NodeLink, NodeLoad, Pipe

__all__ = ["AgentNode", "NodeOwner"]

log = logging.getLogger("swell.server")

LOST_AT_ONCE: Final = 256  #: containers that are reported lost before others have their turn
GREETING_MAX: Final = 64 << 10  #: bytes of a Greeting: many may say nothing else, and each takes so much memory
GREETING_S: Final = 10.0  #: how long a link may be there without a Greeting


class NodeOwner(Protocol):
    """What a node reports to, beside the listener of the backend."""

    listener: BackendListener

    def connection(self) -> asyncio.Protocol:
        """Return the server's end of a container's connection."""
        ...

    def came(self, node: AgentNode) -> None:
        """Its link is connected."""
        ...

    def admit(self, node: AgentNode, greeting: Greeting) -> str:
        """An agent has said who it is; return why it is not let in, "" if it is."""
        ...

    def welcome(self, name: str) -> Welcome:
        """Return what an agent is told that is let in."""
        ...

    def drop_blob(self, name: str) -> None:
        """A container has read a blob that nobody else reads."""
        ...

    def changed(self, node: AgentNode) -> None:
        """Its load has come, for the first time or anew."""
        ...

    def forget(self, container_id: str) -> None:
        """One of its containers is gone."""
        ...

    def lost(self, node: AgentNode, why: str) -> None:
        """Its link has ended, and its containers with it. Called also if it was never let in."""
        ...


class AgentNode:
    """The owner of the server's end of one link. Nothing but its making happens before it is `linked`."""

    def __init__(self, owner: NodeOwner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._link: Link  # from when it is connected, which may never be
        self._containers: dict[str, None] = {}  # those that were launched and have not exited
        self._unready: dict[
            str, None
        ] = {}  # of these, those of which the agent does not know that they have checked in
        self._is_over = False
        self._patience: asyncio.TimerHandle
        self._has_reports = False
        self._pinged_at: float | None = None  # when a Ping was sent that was not answered yet
        self._round_trip_s: float | None = None
        self.greeting: Greeting | None = None  #: what its agent has said of itself, once it is let in
        self.load: NodeLoad | None = None  #: the latest; None until it is there for containers
        self.web = ""  #: where the edge reaches its containers, as a WebAddress; "" until it is there for containers
        self._welcome: Welcome | None = None  # what its agent was told

    @property
    def name(self) -> str:
        """Its name; "" before its agent is let in."""
        return "" if self.greeting is None else self.greeting.node.name

    @property
    def host(self) -> str:
        """The address from which its agent has connected; "" if that has ended."""
        transport = self._link.transport
        return "" if transport is None else transport.get_extra_info("peername")[0]

    # ------------------------------------------------------------ what the backend wants

    def launch(self, order: LaunchOrder) -> None:
        """Have a container started."""
        self._containers[order.container_id] = None
        word = encode(Launch(_without_code(order)))
        if self._is_over:
            self._loop.call_soon(self._report_lost, order.container_id, "its node is gone", False)
        elif len(word) > WORD_MAX:
            why = f"its order has {len(word):,} bytes, an agent can be sent {WORD_MAX:,}: its environment is too large"
            self._loop.call_soon(self._report_lost, order.container_id, why, False)
        else:
            self._unready[order.container_id] = None
            self._link.send_word(word)

    def interrupt(self, container_id: str) -> None:
        """Have a container sent SIGINT."""
        self._send(Interrupt(container_id))

    def kill(self, container_id: str) -> None:
        """Have a container killed."""
        self._send(Kill(container_id))

    def exec(self, container_id: str, user: Pipe) -> Pipe:
        """Return a pipe to a command beside one of its containers."""
        link = self._link
        if self._is_over:
            raise NotFoundError(f"the node of container {container_id} is gone")
        if link.is_full:
            raise ResourceExhausted(f"as many channels are open to node {self.name} as a link may have: close some")
        self._send(Exec(container_id))
        pipe = PipeChannel(link, f"node {self.name}")
        pipe.join(user)
        return pipe

    def forget(self, name: str) -> None:
        """Have its copy of a blob or a bundle deleted."""
        self._send(Forget((name,)))

    def observe(self, is_ready: Callable[[str], bool] | None) -> NodeLoad | None:
        """Return its load since the last call, None if it is not there yet.

        With `is_ready`, which tells whether a container has checked in, the load is told often for a while.
        """
        if is_ready is not None:
            ready = tuple(each for each in self._unready if is_ready(each))
            for container_id in ready:
                del self._unready[container_id]
            self._send(Watch(ready))
        load = self.load
        if load is not None:
            self.load = replace(load, sleepers=0)
        return load

    def link_state(self, files: tuple[int, int]) -> NodeLink:
        """Return how it is connected, with the bytes of files that have come from it and were sent to it."""
        link = self._link
        received, sent = files
        return NodeLink(link.silent_s, self._round_trip_s, link.received_bytes + received, link.sent_bytes + sent)

    def stop(self) -> None:
        """Have the containers killed and the agent ended."""
        self._send(Stop())

    def end(self, why: str) -> None:
        """End the link, and with it everything on the node."""
        self._link.end(why)

    def _send(self, word: Word) -> None:
        self._link.send_word(encode(word))

    # ------------------------------------------------------------ the link

    def linked(self, link: Link) -> None:
        """The stream is connected: the agent may say who it is."""
        self._link = link
        link.bound_words(GREETING_MAX)
        self._patience = self._loop.call_later(GREETING_S, link.end, "its agent did not say who it is")
        self._owner.came(self)

    def beat(self) -> None:
        """Give a sign of life."""
        if self._pinged_at is None:
            self._pinged_at = time.monotonic()  # that of the loop has milliseconds
        self._send(Ping())

    def word(self, body: bytes) -> None:
        """Take in what the agent says of its node."""
        word = decode_to_server(body)
        if isinstance(word, Greeting):
            self._greet(word)
        elif isinstance(word, Pong) and self._pinged_at is not None:
            self._round_trip_s = time.monotonic() - self._pinged_at
            self._pinged_at = None
        elif isinstance(word, Drop) and self.greeting is not None:
            self._owner.drop_blob(word.name)
        elif isinstance(word, WebOpen):
            self._open_web(word.port)
        elif isinstance(word, Load) and self.greeting is not None:
            sleepers = word.sleepers + (0 if self.load is None else self.load.sleepers)
            self.load = NodeLoad(self.greeting.node, word.busy_cores, word.working_cores, word.unjudged, sleepers)
            self._owner.changed(self)

    def _greet(self, greeting: Greeting) -> None:
        if self.greeting is not None:
            raise LinkError("it has said who it is before")
        self._patience.cancel()
        why = self._owner.admit(self, greeting)
        if why:
            self._send(Refused(why))
            self._link.close(why)
        else:
            self.greeting = greeting
            self._link.bound_words(WORD_MAX)
            self._welcome = self._owner.welcome(greeting.node.name)
            self._send(self._welcome)

    def _open_web(self, port: int) -> None:
        """Note where the edge reaches the containers: at the machine from which the agent has connected."""
        if self._welcome is None or self._link.transport is None:
            raise LinkError("it was not let in")
        agent = TlsAddress(self.host, port, fingerprint_in(self._welcome.web_certificate))
        self.web = str(WebAddress(agent, self._welcome.web_token))

    def opened(self, link: Link, number: int) -> Channel:
        """Take the first channel for reports, and each other one for a container's connection."""
        if self.greeting is None:
            raise LinkError("it opens a channel before it has said who it is")
        if not self._has_reports:
            self._has_reports = True
            return _Reports(link, number, self._report)
        return ChannelTransport(link, self._owner.connection(), number)

    def lost(self, why: str) -> None:
        """The link is over: so are all containers."""
        self._is_over = True
        self._patience.cancel()
        self._owner.lost(self, why)
        self._lose(why)

    def _lose(self, why: str) -> None:
        for container_id in list(islice(self._containers, LOST_AT_ONCE)):
            self._report_lost(container_id, f"node {self.name} is lost: {why}", True)
        if self._containers:
            self._loop.call_soon(self._lose, why)

    def _report_lost(self, container_id: str, why: str, started: bool) -> None:
        if container_id not in self._containers:  # the link was lost meanwhile
            return
        self._forget(container_id)
        self._owner.listener.container_exited(container_id, why, started)

    def _forget(self, container_id: str) -> None:
        self._containers.pop(container_id, None)
        self._unready.pop(container_id, None)
        self._owner.forget(container_id)

    # ------------------------------------------------------------ reports

    def _report(self, report: Report) -> None:
        """Pass on what is reported of a container of this node; of others it has nothing to say."""
        if report.container_id not in self._containers:
            return
        listener = self._owner.listener
        match report:
            case Started(container_id, pid):
                listener.container_started(container_id, pid)
            case Wrote(container_id, stream, text):
                listener.container_wrote(container_id, stream, text)
            case Exited(container_id, reason, started, excess):
                self._forget(container_id)
                listener.container_exited(container_id, reason, started, excess)


def _without_code(order: LaunchOrder) -> LaunchOrder:
    """Return an order without the function that its container gets from the server; a snapshot loads it itself."""
    if order.spec.snapshot or not order.spec.source.pickled:
        return order
    return replace(order, spec=replace(order.spec, source=replace(order.spec.source, pickled=b"")))


class _Reports:
    """The channel of reports: whole ones are passed on as they come."""

    def __init__(self, link: Link, number: int, pass_on: Callable[[Report], None]) -> None:
        self._link = link
        self._number = number
        self._pass_on = pass_on
        self._decoder = ReportDecoder()

    def received(self, data: bytes) -> None:
        """Pass on the reports that are whole."""
        self._link.consumed(self._number, len(data))
        for report in self._decoder.feed(data):
            self._pass_on(report)

    def finished(self) -> None:
        """An agent that reports nothing more is of no use."""
        raise LinkError("it has ended the channel of reports")

    def lost(self, why: str) -> None:
        """The link ends as well, or the agent is of no use any more."""
        self._link.end(f"the channel of reports is over: {why}")

    def flushed(self) -> None:
        """Nothing is sent here."""
