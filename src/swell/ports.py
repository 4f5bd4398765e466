"""The sockets into which adapters plug: what the server needs from a backend, a store and a GPU provider.

Protocols only. Nothing here may know an adapter, the engine or a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from swell.model import Deployment, Environment, FunctionSpec, Gpu, MemoryExcess, Node
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
    "NodeLoad",
    "ReadFailed",
    "Store",
    "StoreBroken",
]


class LaunchOrder(Struct, frozen=True):
    """Start one container. Whatever becomes of it, the backend ends by reporting `container_exited`."""

    container_id: str
    app_id: str
    function_id: str
    spec: FunctionSpec
    environment: Environment
    node: str
    gpus: tuple[str, ...]  #: uuids this container alone may use
    token: str  #: proves to the server that the container is the one it asked for


class NodeLoad(Struct, frozen=True):
    """A node, and how many of its cores this server's containers keep busy right now."""

    node: Node
    busy_cores: float


class BackendListener(Protocol):
    """What a backend reports. Called on the server's event loop."""

    def container_started(self, container_id: str, pid: int) -> None:
        """The process exists; it will connect by itself."""
        ...

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        """The container is gone, with all its processes.

        Args:
            container_id: which.
            reason: why, in words.
            started: False if it never ran.
            excess: the memory it used, if it was killed for that.
        """
        ...

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        """Lines appeared on "stdout" or "stderr"; `text` ends at a line end unless the container is gone."""
        ...


class Backend(Protocol):
    """Starts and stops containers on some set of nodes. Every method is called on the server's event loop."""

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Get ready to launch; containers will be told to connect to `server_address`."""
        ...

    def launch(self, order: LaunchOrder) -> None:
        """Start a container, without blocking; the listener is told how it starts and ends."""
        ...

    def interrupt(self, container_id: str) -> None:
        """Send the container SIGINT. Unknown ids are ignored."""
        ...

    def kill(self, container_id: str) -> None:
        """Kill the container's whole process group at once. Unknown ids are ignored."""
        ...

    def observe(self) -> Sequence[NodeLoad]:
        """Return the nodes and their present load; the first call may report a load of 0."""
        ...

    async def stop(self) -> None:
        """Kill what is left and release everything. Safe to call twice, and before `start`."""
        ...


class GpuProvider(Protocol):
    """Finds the GPUs of this machine."""

    def gpus(self) -> Sequence[Gpu]:
        """Return the GPUs that containers may be given, in a stable order."""
        ...


class StoreBroken(Exception):
    """A store cannot be opened, read or written; says which, why, and what to do. What was committed is safe."""


class ReadFailed(Exception):
    """Something that was asked of a store cannot be read; says what, and why. The store itself goes on."""


Failed = Callable[[ReadFailed], None]  #: told, on the event loop, that something cannot be read


class Store(Protocol):
    """The engine's log: what must survive, and what is read back. One writer: the control plane.

    What is said of a call that is not known, or that has ended, changes nothing.

    Everything happens in the order in which it was asked for, so that what is read includes all that was recorded
    before. Methods that take `then` return at once and never call it themselves: it is called on the event loop.

    A write that fails breaks the store. A read that fails is told to `failed`, in place of `then`, and the store goes
    on: it is an error of the one who asked. Only a read without `failed` breaks it, too: that of what nothing can go on
    without.
    """

    def restore(self) -> Restored:
        """Return what there is; at the start, open what must be opened. The one method that waits.

        Raises:
            StoreBroken: it cannot be read.
        """
        ...

    def append(self, record: Record) -> None:
        """Take a record. It is durable, together with all before it, when a later `commit` is answered."""
        ...

    def commit(self, then: Callable[[], None]) -> None:
        """Call `then` once everything recorded so far is durable."""
        ...

    # ------------------------------------------------------------ calls

    def read_call(
        self, call_id: str, then: Callable[[StoredCall | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read what is kept of a call; None if it is not known."""
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
        """Read the results that inputs first..last-1 have, in order; those that CallsCancelled gave included."""
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
        """Read a call that has not ended, to go on with it; a StoredCall if it has ended, None if it is not known."""
        ...

    def load_calls(
        self,
        function_id: str,
        after: int,
        calls_max: int,
        window: Window,
        then: Callable[[list[LoadedCall]], None],
    ) -> None:
        """Read up to `calls_max` calls of a function that have not ended, by sequence, from beyond `after` on.

        The window is for all of them together: calls beyond it are left out, but for the first.
        """
        ...

    def load_spans(self, call_id: str, first: int, window: Window, then: Callable[[LoadedSpans], None]) -> None:
        """Read spans of a call that begin at input `first` or later, within a window."""
        ...

    def expire(
        self, ended_before: float, forget_before: float, containers_max: int, then: Callable[[list[str]], None]
    ) -> None:
        """Drop results of calls that ended before a time, and all memory of what ended before an earlier one.

        The latter are calls, containers, and stopped apps without functions, with their versions and with source files
        that only those have. All but the `containers_max` containers that were recorded last are forgotten, too. It may
        be done bit by bit, what is asked for later in between. `then` gets the names of blobs that are of no use: those
        that carried dropped results, and those that carried inputs of which no SpansDone told before their call ended.
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
        """Read the containers of an app that are no more, or with "" of all apps: so many, the latest ended first."""
        ...

    def read_container(
        self, container_id: str, then: Callable[[ContainerRecord | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one container that is no more."""
        ...

    def close(self) -> None:
        """Finish writing and release files. Safe to call twice."""
        ...
