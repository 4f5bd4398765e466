"""Ports: the interfaces that adapters implement for the server as backend, store and GPU provider.

Protocols only. Nothing here may know an adapter, the engine or a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from swell.model import Deployment, Environment, FunctionSpec, Gpu, Lack, MemoryExcess, Node, RefusedNode
from swell.records import (
    AppRecord,
    ContainerRecord,
    LoadedCall,
    LoadedSpans,
    Record,
    Restored,
    StoredCall,
    StoredOutput,
    Trace,
    Window,
)

__all__ = [
    "Backend",
    "BackendListener",
    "GpuProvider",
    "LaunchOrder",
    "NodeLink",
    "NodeLoad",
    "NodePaths",
    "Pipe",
    "ReadFailed",
    "Store",
    "StoreBroken",
]


class LaunchOrder(Struct, frozen=True):
    """Order to start one container. However that ends, the backend's last report is `container_exited`."""

    container_id: str
    app_id: str
    function_id: str
    spec: FunctionSpec
    environment: Environment
    node: str
    gpus: tuple[str, ...]  #: uuids this container alone may use
    token: str  #: proves to the server that the container is the one it ordered


class NodeLoad(Struct, frozen=True):
    """A node, and how many of its cores this server's containers keep busy right now."""

    node: Node
    busy_cores: float
    working_cores: float = 0.0  #: of these, by containers that have been ready for a while
    unjudged: int = 0  #: containers that are ready, and of which it is not known yet whether they work or sleep
    sleepers: int = 0  #: by how many more of those of which that is known since the last call sleep than work


class NodePaths(Struct, frozen=True):
    """Directories of a node that shares none with the server."""

    blob_dir: str  #: where its containers find and leave large values
    web_dir: str  #: where its containers answer requests
    shelf: str  #: where they have large values fetched and published (see `swell.wire.shelf`)
    bundle_dir: str  #: where bundles are laid out, each under its digest
    web: str  #: where the edge reaches what is in `web_dir`, in the edge's own words


class NodeLink(Struct, frozen=True):
    """How a node elsewhere has been connected with the server since it came."""

    silent_s: float  #: for how long it has given no sign of life
    round_trip_s: float | None  #: how long a word and its answer took last; None: none was answered yet
    received_bytes: int  #: of messages and files that came from it
    sent_bytes: int  #: likewise, to it


class Pipe(Protocol):
    """Takes the bytes of one direction between two peers, and that there will be no more in either."""

    def send(self, data: bytes) -> None:
        """Pass on bytes; nothing, once the pipe is closed."""
        ...

    def close(self, why: str = "") -> None:
        """End both directions; `why` says what broke. Safe to call twice."""
        ...


class BackendListener(Protocol):
    """Receives a backend's reports. Called on the server's event loop."""

    def container_started(self, container_id: str, pid: int) -> None:
        """The process exists; it connects to the server by itself."""
        ...

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        """The container is gone, with all its processes.

        Args:
            container_id: id of the container.
            reason: why it exited, in words.
            started: False if its process never ran.
            excess: the memory it used, and its limit, if it was killed for exceeding that.
        """
        ...

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        """Lines appeared on "stdout" or "stderr"; `text` ends at a line end unless the container is gone."""
        ...

    def node_drains(self, node: str, deadline_s: float | None) -> None:
        """Whoever gives the node will take it away, in so many seconds; None: it is not known when."""
        ...

    def nodes_changed(self) -> None:
        """What is told of the nodes has changed, as when one has told its load."""
        ...


class Backend(Protocol):
    """Starts and stops containers on some set of nodes. Every method is called on the server's event loop."""

    #: Containers see the server's files and sockets, and the edge theirs.
    is_local: bool

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Get ready to launch containers that connect to `server_address`."""
        ...

    def launch(self, order: LaunchOrder) -> None:
        """Start a container, without blocking; report its start and its exit to the listener."""
        ...

    def interrupt(self, container_id: str) -> None:
        """Send the container SIGINT. Unknown ids are ignored."""
        ...

    def kill(self, container_id: str) -> None:
        """Kill the container's whole process group at once. Unknown ids are ignored."""
        ...

    def exec(self, container_id: str, user: Pipe) -> Pipe:
        """Open a pipe to a command that is to run beside a container; `user` gets what comes of it.

        What passes in both directions are the words of `swell.wire.exec`. The command goes on when the container ends,
        and ends when its pipe is closed.

        Raises:
            NotFoundError: there is no such container, or not yet.
        """
        ...

    def observe(self, is_ready: Callable[[str], bool]) -> Sequence[NodeLoad]:
        """Return the nodes and their load since the last call; the first call may report a load of 0.

        Args:
            is_ready: tells whether the container of that id has checked in, so that what it uses is no start.
        """
        ...

    def refused(self) -> Sequence[RefusedNode]:
        """Return the nodes that are not let in, such as those of another version of swell."""
        ...

    def awaits_nodes(self) -> bool:
        """Tell whether nodes are on their way, of which it is not known yet what they have."""
        ...

    def trouble(self) -> str:
        """Return why there are fewer nodes than there should be, in words; "" if nothing is wrong."""
        ...

    def paths_of(self, node: str) -> NodePaths | None:
        """Return the directories that containers of a node use in place of the server's; None: the server's."""
        ...

    def link_of(self, node: str) -> NodeLink | None:
        """Return how a node is connected; None: it is the server's machine, or is gone."""
        ...

    def deleted(self, name: str) -> None:
        """The server has deleted a large value, or a bundle that no app uses; nodes that may have a copy delete it."""
        ...

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """So many containers fit on no node, from now on: get nodes that hold them, or give up asking for more.

        Only a backend that `Settings.backend` names as one that gives nodes hears of it.
        """

    def release_node(self, name: str) -> None:
        """Give back a node that has no containers, and gets none; likewise."""

    async def stop(self) -> None:
        """Kill the remaining containers and release all resources. Safe to call twice, and before `start`."""
        ...


class GpuProvider(Protocol):
    """Finds the GPUs of this machine."""

    def gpus(self) -> Sequence[Gpu]:
        """Return the GPUs that containers may be given, in a stable order."""
        ...


class StoreBroken(Exception):
    """A store cannot be opened, read or written; names the fault and the fix. Committed data is safe."""


class ReadFailed(Exception):
    """A store cannot read requested data; the text names the data and the cause. The store itself continues."""


Failed = Callable[[ReadFailed], None]  #: called on the event loop with the error of a read


class Store(Protocol):
    """The engine's log: writes records that must survive, and reads them back. One writer: the control plane.

    Records about a call that is unknown, or has ended, change nothing.

    The store handles requests in order: a read includes every record appended before it. Methods that take `then`
    return at once and never call it themselves: the event loop calls it.

    A write that fails breaks the store. A read that fails calls `failed` in place of `then`, and the store continues:
    only the requester gets an error. A read without `failed` gets data that the server cannot run without: if it fails,
    it breaks the store, too.
    """

    def restore(self) -> Restored:
        """Return the stored state, after opening the store if that is needed. The only method that blocks.

        Raises:
            StoreBroken: the store cannot be read.
        """
        ...

    def append(self, record: Record) -> None:
        """Take a record. It is durable, with all records before it, once a later `commit` calls its `then`."""
        ...

    def commit(self, then: Callable[[], None], *, alone: bool = False) -> None:
        """Call `then` once everything recorded so far is durable.

        Args:
            then: called on the event loop.
            alone: since the last commit, the event loop has served nobody but peers that wait for commits: the store
                may have it wait for the disk.
        """
        ...

    # ------------------------------------------------------------ calls

    def read_call(
        self, call_id: str, then: Callable[[StoredCall | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the record of a call; None if it is unknown."""
        ...

    def read_outputs(
        self,
        call_id: str,
        first: int,
        last: int,
        then: Callable[[list[StoredOutput]], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read the results of inputs first..last-1, in order, including those that CallsCancelled set."""
        ...

    def read_trace(
        self, call_id: str, index: int, then: Callable[[Trace | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the trace of an input that has a result; None if there is none."""
        ...

    def load_call(
        self,
        call_id: str,
        window: Window,
        then: Callable[[LoadedCall | StoredCall | None], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read an unfinished call, to continue it; a StoredCall if it has ended, None if it is unknown."""
        ...

    def load_calls(
        self,
        function_id: str,
        after: int,
        calls_max: int,
        window: Window,
        then: Callable[[list[LoadedCall]], None],
    ) -> None:
        """Read up to `calls_max` unfinished calls of a function, in order of sequence, from `after` + 1 on.

        The window bounds all of them together: calls beyond it are left out, except the first.
        """
        ...

    def load_spans(self, call_id: str, first: int, window: Window, then: Callable[[LoadedSpans], None]) -> None:
        """Read spans of a call that begin at input `first` or later, within a window."""
        ...

    def expire(
        self, ended_before: float, forget_before: float, containers_max: int, then: Callable[[list[str]], None]
    ) -> None:
        """Drop results of calls that ended before `ended_before`, and all records of what ended before `forget_before`.

        The latter are the records of calls, containers, and stopped apps without functions, with their versions and
        with source files that only those versions have. All containers but the `containers_max` recorded last are
        dropped, too. The store may do this in steps, with later requests in between. `then` gets the names of blobs to
        delete: those of dropped results, and those of inputs that no SpansDone named before their call ended.
        """
        ...

    # ------------------------------------------------------------ apps

    def read_apps(self, then: Callable[[list[AppRecord]], None], *, failed: Failed | None = None) -> None:
        """Read all durable apps, stopped ones too, the latest first."""
        ...

    def read_deployments(
        self, app_id: str, then: Callable[[list[Deployment]], None], *, failed: Failed | None = None
    ) -> None:
        """Read the versions of an app, the latest first."""
        ...

    def read_deployment(
        self, app_id: str, version: int, then: Callable[[Deployment | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one version of an app."""
        ...

    def read_bundle(self, digest: str, then: Callable[[bytes | None], None], *, failed: Failed | None = None) -> None:
        """Read source files by their digest."""
        ...

    def read_containers(
        self, app_id: str, latest: int, then: Callable[[list[ContainerRecord]], None], *, failed: Failed | None = None
    ) -> None:
        """Read up to `latest` ended containers of an app, or with "" of all apps, the latest ended first."""
        ...

    def read_container(
        self, container_id: str, then: Callable[[ContainerRecord | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one ended container."""
        ...

    def close(self) -> None:
        """Finish writing and release files. Safe to call twice."""
        ...
