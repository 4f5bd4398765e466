"""The sockets into which adapters plug: what the server needs from a backend, a store and a GPU provider.

Protocols only. Nothing here may know an adapter, the engine or a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from swell.model import Environment, FunctionSpec, Gpu, Node, OutputStatus

__all__ = [
    "Backend",
    "BackendListener",
    "GpuProvider",
    "LaunchOrder",
    "NodeLoad",
    "Store",
    "StoredCall",
    "StoredOutput",
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

    def container_exited(self, container_id: str, reason: str, started: bool) -> None:
        """The container is gone, with its whole process group. `started` is False if it never ran."""
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
        """Start a container, without blocking; the listener hears what becomes of it."""
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


class StoredOutput(Struct, frozen=True):
    """The recorded result of one input of a spawned call."""

    index: int
    status: OutputStatus
    payload: bytes
    has_blob: bool = False


class StoredCall(Struct, frozen=True):
    """What is kept of a spawned call that has finished."""

    function_name: str
    num_inputs: int
    finished_at: float  #: seconds since the epoch


class Store(Protocol):
    """The engine's log: what must survive, and what is read back. One writer: the control plane."""

    def record_outputs(self, call_id: str, outputs: Sequence[StoredOutput]) -> None:
        """Keep results; the first record of an (input) wins, later ones are ignored."""
        ...

    def read_outputs(self, call_id: str, first: int, last: int) -> list[StoredOutput]:
        """Return the recorded results with first <= index < last, in index order."""
        ...

    def record_call(self, call_id: str, call: StoredCall) -> None:
        """Note that a call has finished."""
        ...

    def read_call(self, call_id: str) -> StoredCall | None:
        """Return what is kept of a finished call; None if it is not known."""
        ...

    def expire(self, before: float) -> None:
        """Drop the outputs of calls that finished before that time."""
        ...

    def commit(self, then: Callable[[], None]) -> None:
        """Call `then` on the event loop once everything recorded so far is durable."""
        ...

    def close(self) -> None:
        """Finish writing and release files. Safe to call twice."""
        ...
