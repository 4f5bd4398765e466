"""An agent at work: words of the server to the node's backend, and what that reports back to the server.

    server ══ link ══ agent ── unix socket ── containers
                        └── ProcessBackend: templates, pipes, memory, GPUs, as on one machine

The process ends when the link does, whatever the reason: without it the server cannot know what runs here, and has
given the inputs to others. **Fencing**: it ends at once, and before anything else it closes the lifelines of its
containers, which makes the kernel kill them; templates take its end for the death of their server, and remove what is
left. There is no resuming: the next agent is a new node.

This module must not know how the link's stream is made, or who has started the agent.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Final

from msgspec.structs import replace

from swell.agent.bulk import BulkClient
from swell.agent.bundles import AgentBundles
from swell.agent.relay import ContainerRelay
from swell.agent.shelf import AgentShelf
from swell.agent.shelf_space import ShelfSpace
from swell.agent.web_port import WebPort
from swell.backends.process import ProcessBackend
from swell.errors import NotFoundError
from swell.ids import is_digest
from swell.link.certificate import TlsAddress
from swell.link.connection import Channel, Link
from swell.link.frames import LinkError
from swell.link.order import AgentOrder
from swell.link.pipe import PipeChannel
from swell.link.words import (
    LINK_PROTOCOL,
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
    Started,
    Stop,
    ToAgent,
    Watch,
    WebOpen,
    Welcome,
    Wrote,
    decode_to_agent,
    encode,
    encode_report,
)
from swell.model import MemoryExcess, Node
from swell.ports import LaunchOrder
from swell.wire.codec import encode as encode_frame
from swell.wire.exec import Refused as CommandRefused
from swell.wire.messages import PROTOCOL

__all__ = ["EXIT_LOST", "EXIT_REFUSED", "Agent"]

EXIT_LOST: Final = 75  #: as sysexits.h has it: a failure that another try may not have
EXIT_REFUSED: Final = 77  #: as sysexits.h has it: not permitted
UNSENT_MAX: Final = 1 << 20  #: bytes of reports that may wait before the output of containers is not read
LOOK_S: Final = 0.05  #: between two loads while somebody waits for them
LOOK_SELDOM_S: Final = 1.0  #: and otherwise
LOOKED_FOR_S: Final = 2.0  #: for how long a Watch counts
LAST_BYTES_S: Final = 1.0  #: how long a dead container's connections may take to end; something may have outlived it


class _Reports:
    """The channel of reports, of which nothing comes back."""

    def __init__(self, link: Link, read_output: Callable[[bool], None]) -> None:
        self._link = link
        self._read_output = read_output
        self._number = link.open(self)

    def send(self, report: Report) -> None:
        """Send a report; when many wait, containers wait with their output."""
        if self._link.send(self._number, encode_report(report)) > UNSENT_MAX:
            self._read_output(False)
            self._link.watch(self._number)

    def flushed(self) -> None:
        """Reports were sent."""
        if self._link.unsent(self._number) <= UNSENT_MAX // 4:
            self._link.unwatch(self._number)
            self._read_output(True)

    def received(self, data: bytes) -> None:
        """Nothing comes here."""
        raise LinkError("the server has sent bytes in the channel of reports")

    def finished(self) -> None:
        """The server ends the link, not this channel."""
        raise LinkError("the server has ended the channel of reports")

    def lost(self, why: str) -> None:
        """Without this channel the server does not know what runs here."""
        self._link.end(f"the channel of reports is over: {why}")


class Agent:
    """Owner of the link, and listener of the backend."""

    def __init__(self, order: AgentOrder, backend: ProcessBackend, ended: Callable[[int, str], None]) -> None:
        """Begin.

        Args:
            order: what it was told as it started.
            backend: of this machine, not yet started.
            ended: called with an exit status and the reason when nothing more is to be done.
        """
        self._order = order
        self._backend = backend
        self._ended = ended
        self._directory = Path(order.directory)
        self._blob_dir = self._directory / "blobs"
        self._web_dir = self._directory / "web"
        self._loop = asyncio.get_running_loop()
        self._link: Link
        self._reports: _Reports | None = None
        self._shelf: AgentShelf | None = None
        self._bundles: AgentBundles | None = None
        self._web: WebPort | None = None
        self._is_stopping = False
        self._relays: dict[int, set[ContainerRelay]] = {}  # by the pid of the process that has connected
        self._pids: dict[str, int] = {}
        self._execs: deque[str] = deque()  # containers beside which commands run in the next channels
        self._ready: set[str] = set()  # containers that have checked in with the server
        self._watched_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def socket_path(self) -> str:
        """Where containers connect."""
        return str(self._directory / "agent.sock")

    @property
    def shelf_path(self) -> str:
        """Where containers ask for blobs."""
        return str(self._directory / "shelf.sock")

    @property
    def bundle_dir(self) -> str:
        """Where the source files of apps are laid out."""
        return str(self._directory / "bundles")

    def greet(self) -> None:
        """Tell the server who this is."""
        order = self._order
        greeting = Greeting(
            link_protocol=LINK_PROTOCOL,
            protocol=PROTOCOL,
            version=version("swell"),
            python=python_version().rpartition(".")[0],
            token=order.token,
            node=self._node(),
            blob_dir=str(self._blob_dir),
            web_dir=str(self._web_dir),
            shelf=self.shelf_path,
            bundle_dir=self.bundle_dir,
        )
        self._link.send_word(encode(greeting))

    def connection(self) -> ContainerRelay:
        """Return what relays the next connection of a container."""
        return ContainerRelay(self._link, self._relay_begins, self._relay_is_over)

    async def serve_shelf(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a container about a blob."""
        if self._shelf is None:
            writer.close()  # there are no containers yet
        else:
            await self._shelf.serve(reader, writer)

    def _relay_begins(self, relay: ContainerRelay) -> None:
        self._relays.setdefault(relay.pid, set()).add(relay)

    def _relay_is_over(self, relay: ContainerRelay) -> None:
        relays = self._relays[relay.pid]
        relays.discard(relay)
        if not relays:
            del self._relays[relay.pid]

    def _node(self) -> Node:
        """Return what of this machine is the node's."""
        order, found = self._order, self._backend.observe(self._ready.__contains__)[0].node
        return replace(
            found,
            name=order.node,
            cpu=found.cpu if order.cpu is None else order.cpu,
            memory_bytes=found.memory_bytes if order.memory_bytes is None else order.memory_bytes,
        )

    # ------------------------------------------------------------ the link

    def linked(self, link: Link) -> None:
        """The server can be reached; nothing is said before it is known to be the right one."""
        self._link = link

    def beat(self) -> None:
        """Give a sign of life."""
        self._link.send_word(encode(Ping()))

    def opened(self, link: Link, number: int) -> Channel:
        """Let the user of a command and the command talk in a channel."""
        if not self._execs:
            raise LinkError(f"the server has opened channel {number}, and has not said what for")
        channel = PipeChannel(link, "the server", number)
        try:
            channel.join(self._backend.exec(self._execs.popleft(), channel))
        except NotFoundError as error:
            channel.send(encode_frame(CommandRefused(str(error))))
            channel.close()
        return channel

    def lost(self, why: str) -> None:
        """The link is over: end at once, which kills all containers."""
        if not self._is_stopping:
            self._ended(EXIT_LOST, f"the link to the server is lost: {why}")

    def word(self, body: bytes) -> None:
        """Do what the server says."""
        word: ToAgent = decode_to_agent(body)
        match word:
            case Ping():
                self._link.send_word(encode(Pong()))
            case Launch(order):
                self._launch(order)
            case Interrupt(container_id):
                if not self._withdraw(container_id, "interrupted before it was launched"):
                    self._backend.interrupt(container_id)
            case Kill(container_id):
                if not self._withdraw(container_id, "killed before it was launched"):
                    self._backend.kill(container_id)
            case Watch(ready):
                self._ready.update(ready)
                self._watch()
            case Forget(names):
                self._forget(names)
            case Exec(container_id):
                self._execs.append(container_id)
            case Welcome():
                self._connect_bulk(word)
                self._run(self._begin(word))
            case Stop():
                self._run(self._stop())
            case Refused(text):
                self._ended(EXIT_REFUSED, text)

    def _connect_bulk(self, welcome: Welcome) -> None:
        server, directory = TlsAddress.parse(self._order.server), str(self._blob_dir)
        space = ShelfSpace(directory, welcome.blob_bytes_max)
        address = TlsAddress(server.host, welcome.bulk_port, server.fingerprint)
        bulk = BulkClient(address, welcome.bulk_token, directory, space)
        self._shelf = AgentShelf(directory, space, bulk, lambda name: self._link.send_word(encode(Drop(name))))
        self._bundles = AgentBundles(self.bundle_dir, bulk.fetch_bundle)

    def _launch(self, order: LaunchOrder) -> None:
        """Start a container, once the source files of its app are there."""

        def ready(why: str) -> None:
            if why:
                self._report(Exited(order.container_id, why, False))
            else:
                self._launch_now(order)

        digest = order.environment.bundle
        if not digest:
            self._launch_now(order)
        elif self._bundles is not None:
            self._bundles.hold(digest, order.container_id, ready)

    def _launch_now(self, order: LaunchOrder) -> None:
        if self._web is not None:
            self._web.launched(order.container_id, order.spec.web_methods)
        self._backend.launch(order)

    def _withdraw(self, container_id: str, why: str) -> bool:
        """Start a container no more that waits for its source files; False if none of that name does."""
        if self._bundles is None or not self._bundles.is_awaited_by(container_id):
            return False
        self._bundles.release(container_id)
        self._report(Exited(container_id, why, False))
        return True

    def _forget(self, names: Sequence[str]) -> None:
        """Delete copies of what the server has deleted."""
        if self._shelf is None or self._bundles is None:
            return
        for name in names:
            if is_digest(name):
                self._bundles.forget(name)
        self._shelf.forget(tuple(name for name in names if not is_digest(name)))

    async def _begin(self, welcome: Welcome) -> None:
        """Get ready for containers. A Launch that comes meanwhile has to wait for that, so nothing is awaited first."""
        self._reports = _Reports(self._link, self._backend.read_output)
        await self._backend.start(self, f"unix:{self.socket_path}")
        self._open_web(welcome)
        self._look()

    def _open_web(self, welcome: Welcome) -> None:
        """Have the edge reach the containers, at the address of this machine that leads to the server."""
        self._web = WebPort(str(self._web_dir), welcome.web_token, self._link.end_if_stopped)
        transport = self._link.transport
        if transport is None:
            return  # the link is lost, and with it everything
        port = self._web.open(transport.get_extra_info("sockname")[0], welcome.web_certificate)
        self._link.send_word(encode(WebOpen(port)))

    async def _stop(self) -> None:
        self._is_stopping = True
        await self._backend.stop()
        for each in (self._web, self._shelf, self._bundles):
            if each is not None:
                each.close()
        self._ended(os.EX_OK, "the server has stopped it")

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ended(EXIT_LOST, f"{type(error).__name__}: {error}")

    # ------------------------------------------------------------ the load

    def _watch(self) -> None:
        is_watched = time.monotonic() < self._watched_until
        self._watched_until = time.monotonic() + LOOKED_FOR_S
        if not is_watched:
            if self._timer is not None:
                self._timer.cancel()
            self._look()

    def _look(self) -> None:
        """Tell the load, and look again: soon while somebody waits for it."""
        load = self._backend.observe(self._ready.__contains__)[0]
        self._link.send_word(encode(Load(load.busy_cores, load.working_cores, load.unjudged, load.sleepers)))
        is_watched = time.monotonic() < self._watched_until
        self._timer = self._loop.call_later(LOOK_S if is_watched else LOOK_SELDOM_S, self._look)

    # ------------------------------------------------------------ what the backend reports

    def container_started(self, container_id: str, pid: int) -> None:
        """The process exists."""
        self._pids[container_id] = pid
        self._report(Started(container_id, pid))

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        """The container is gone; that is told after all that it has sent."""
        self._ready.discard(container_id)
        if self._bundles is not None:
            self._bundles.release(container_id)
        if self._web is not None:
            self._web.exited(container_id)
        pid = self._pids.pop(container_id, 0)
        self._report_after(Exited(container_id, reason, started, excess), pid, self._loop.time() + LAST_BYTES_S)

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        """Lines appeared on a stream."""
        self._report(Wrote(container_id, stream, text))

    def node_drains(self, node: str, deadline_s: float | None) -> None:
        """Nobody takes this machine away from itself."""

    def nodes_changed(self) -> None:
        """The node is this one, and its load is told by the clock."""

    def _report(self, report: Report) -> None:
        if self._reports is not None:
            self._reports.send(report)

    def _report_after(self, report: Report, pid: int, until: float) -> None:
        """Send a report once all that a process has sent is on the link, or it is time."""
        if pid in self._relays and self._loop.time() < until:
            self._loop.call_later(0.001, self._report_after, report, pid, until)
        else:
            self._report(report)
