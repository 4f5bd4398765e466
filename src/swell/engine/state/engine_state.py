"""Everything the engine knows, and the effects it has decided on: plain state with an outbox.

This module must not know a rule; those live in the modules that change it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from swell.config import Settings
from swell.engine.events import Effect, Persist, SendToClient, SendToContainer
from swell.engine.state.app import App
from swell.engine.state.call import Call
from swell.engine.state.container import Container, Lease
from swell.engine.state.history import Histories
from swell.engine.state.measures import RetiredMetrics
from swell.engine.state.pool import Pool
from swell.engine.state.public_variants import PublicVariants
from swell.model import AutoscalerSettings, CallKind, Node
from swell.policy.pace import Pace
from swell.policy.placement import NodeRoom
from swell.records import FunctionGone, FunctionRecord, Record
from swell.wire.messages import Message
from swell.wire.web import EdgeUp

__all__ = ["EngineState", "KnownNode"]

RETIRED_METRICS_MAX = 1_000  #: names of functions of which it is known what was counted of their former pools


class KnownNode:
    """A node, what of it is spoken for, and how fast it may be filled."""

    __slots__ = ("busy_cores", "cpu_used", "gpus_used", "memory_used", "node", "pace")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cpu_used = 0.0
        self.memory_used = 0
        self.gpus_used: set[str] = set()
        self.busy_cores = 0.0
        self.pace: Pace | None = None

    def occupy(self, container: Container) -> None:
        """Take what a container asks for."""
        self.cpu_used += container.spec.resources.cpu
        self.memory_used += container.spec.resources.memory_bytes
        self.gpus_used.update(container.place.gpus)

    def release(self, container: Container) -> None:
        """Give back what a container had."""
        self.cpu_used -= container.spec.resources.cpu
        self.memory_used -= container.spec.resources.memory_bytes
        self.gpus_used.difference_update(container.place.gpus)


class EngineState:
    """The engine's state: apps, pools, calls, containers, nodes, and what is to be done next."""

    def __init__(self, settings: Settings, seed: str) -> None:
        self.settings = settings
        self.apps: dict[str, App] = {}
        self.pools: dict[str, Pool] = {}
        self.dormant: dict[str, App] = {}  #: the apps of variants that are put away, by the variant
        self.public_variants: dict[str, PublicVariants] = {}  #: by the function that they are variants of
        self.calls: dict[str, Call] = {}
        self.containers: dict[str, Container] = {}
        self.nodes: dict[str, KnownNode] = {}
        self.calls_of: dict[int, dict[str, Call]] = {}  #: client -> calls that end with it, or that it watches
        self.lagging: set[int] = set()  #: clients that do not read what they are sent
        self.leases: dict[str, Lease] = {}  #: by call; that may have ended before its lease
        self.edges: dict[int, EdgeUp] = {}  #: by client; the latest last
        self.routes_changed = False  #: there may be other web functions than before
        self.app_names: dict[str, str] = {}  #: ids of deployed apps by name
        self.histories = Histories()
        self.ended = 0  #: inputs that have ended in pools that are gone
        self.retired_metrics: dict[tuple[str, str], RetiredMetrics] = {}  #: by app and function; the latest last
        self.asked: dict[str, bool] = {}  #: calls that are being read from the store -> did they end meanwhile?
        self.is_stopping = False  #: the server is to end; what lasts goes on with the next one
        self.store_trouble = ""  #: why nothing more can be written down
        self.outbox: list[Effect] = []
        self.dirty: dict[str, Pool] = {}  #: pools to dispatch and scale before `handle` returns
        self.blocked: dict[str, Pool] = {}  #: pools whose plan waits for room or for the node's pace
        self._seed = seed
        self._minted = 0
        self._deliveries = 0
        self._sequence = 0

    # ------------------------------------------------------------ effects

    def emit(self, effect: Effect) -> None:
        """Decide on an effect."""
        self.outbox.append(effect)

    def send_to_client(self, client: int, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message to a client."""
        self.outbox.append(SendToClient(client, message, payload))

    def send_to_container(self, container: Container, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message to a container."""
        self.outbox.append(SendToContainer(container.id, message, payload))

    def persist(self, record: Record) -> None:
        """Write something down. What is said after it, to anyone, is said when it is durable."""
        self.outbox.append(Persist(record))

    def mark_dirty(self, pool: Pool) -> None:
        """Have the pool's inputs placed and its size reconsidered before this event is over."""
        self.dirty[pool.id] = pool

    # ------------------------------------------------------------ edges

    @property
    def edge(self) -> EdgeUp:
        """What the edge that came last has said of itself; nothing, if there is none."""
        return next(reversed(self.edges.values()), EdgeUp())

    # ------------------------------------------------------------ ids

    def mint_container_id(self) -> str:
        """Return a new container id: `ta-` and 26 characters, unique under this engine's seed."""
        self._minted += 1
        digest = hashlib.sha256(f"{self._seed}/{self._minted}".encode()).digest()
        return "ta-" + base64.b32encode(digest).decode()[:26].replace("=", "A")

    def next_delivery(self) -> int:
        """Return a new delivery number."""
        self._deliveries += 1
        return self._deliveries

    def next_sequence(self) -> int:
        """Return the place of a new spawned call among all there ever were."""
        self._sequence += 1
        return self._sequence

    def resume_sequence(self, after: int) -> None:
        """Go on counting spawned calls where a former server has stopped."""
        self._sequence = max(self._sequence, after)

    @staticmethod
    def function_id(app_id: str, key: str) -> str:
        """Return the id of a function: the same for the same app and key, so that opening twice is harmless."""
        digest = hashlib.sha256(f"{app_id}/{key}".encode()).digest()
        return "fu-" + base64.b32encode(digest).decode()[:22]

    # ------------------------------------------------------------ clients and their calls

    def enroll(self, call: Call) -> None:
        """Take a call that goes on into memory."""
        self.calls[call.id] = call
        call.pool.calls_open += 1
        if call.kind.is_async:
            call.pool.spawned[call.id] = call

    def bind(self, client: int, call: Call) -> None:
        """Note that a call concerns a client, so that the client's end is noticed."""
        self.calls_of.setdefault(client, {})[call.id] = call
        if client in self.lagging:
            self.hold_if_told(client, (call,))

    def hold_if_told(self, client: int, calls: Iterable[Call]) -> None:
        """Hold the inputs of those calls whose results would be sent to a client that does not read.

        A spawned call's are written down, and a request's bytes do not pass here.
        """
        told: dict[str, list[Call]] = {}
        for call in calls:
            if call.client == client and call.kind in (CallKind.REMOTE, CallKind.MAP):
                told.setdefault(call.pool.id, []).append(call)
        for held in told.values():
            held[0].pool.backlog.hold(held)

    def unbind(self, call: Call) -> None:
        """Forget a call that is over, or that is left to the store."""
        del self.calls[call.id]
        call.pool.backlog.let_go(call)
        call.pool.calls_open -= 1
        call.pool.reads -= call.loading
        call.pool.spawned.pop(call.id, None)
        call.pool.thin.pop(call.id, None)
        for client in {call.client, *(watcher.client for watcher in call.watchers)}:
            mine = self.calls_of.get(client)
            if mine is not None:
                mine.pop(call.id, None)
                if not mine:
                    del self.calls_of[client]

    # ------------------------------------------------------------ pools

    def add_pool(self, pool: Pool) -> None:
        """Take in a new pool."""
        pool.app.pools[pool.id] = self.pools[pool.id] = pool
        if pool.is_public:
            self.public_variants.setdefault(pool.base_id, PublicVariants()).add(pool)
        self.mark_dirty(pool)

    def keep(self, pool: Pool, *, has_calls: bool = False) -> None:
        """Write down what is kept of a pool, if its app outlives its clients.

        A public variant is written down when its settings are changed at run time, or a call is spawned in it; not
        before, so that a request writes nothing.
        """
        is_needed = has_calls or not pool.is_public or pool.is_recorded or pool.override != AutoscalerSettings()
        if pool.app.kind.is_lasting and is_needed:
            pool.is_recorded = True
            self.persist(pool.record())

    def discard(self, pool: Pool) -> None:
        """Delete what is kept of a pool that is gone for good."""
        if pool.is_recorded:
            pool.is_recorded = False
            self.persist(FunctionGone(pool.id))

    def add_dormant(self, app: App, record: FunctionRecord) -> None:
        """Keep the record of a variant that is put away."""
        app.dormant[record.function_id] = record
        self.dormant[record.function_id] = app

    def remove_dormant(self, app: App, function_id: str) -> None:
        """Drop the record of a variant that comes back, or is forgotten."""
        del app.dormant[function_id], self.dormant[function_id]

    def no_longer_public(self, pool: Pool) -> None:
        """Remove a variant from the public ones of its function."""
        siblings = self.public_variants[pool.base_id]
        siblings.remove(pool)
        if not siblings.pools:
            del self.public_variants[pool.base_id]

    def forget(self, pool: Pool) -> None:
        """Forget a pool of which nothing is left."""
        self.pools.pop(pool.id, None)
        if pool.is_public:
            self.no_longer_public(pool)
        self.dirty.pop(pool.id, None)
        self.blocked.pop(pool.id, None)
        self.ended += pool.done
        self._keep_counts(pool)

    def _keep_counts(self, pool: Pool) -> None:
        """Keep what was counted of a pool that is gone: others may have its name, and their sum must not fall."""
        name = (pool.app.name, pool.spec.name)
        retired = self.retired_metrics[name] = self.retired_metrics.pop(name, None) or RetiredMetrics()
        retired.accepted += pool.accepted
        retired.add_all(pool.measures)
        if len(self.retired_metrics) > RETIRED_METRICS_MAX:
            del self.retired_metrics[next(iter(self.retired_metrics))]

    # ------------------------------------------------------------ nodes

    def rooms(self) -> list[NodeRoom]:
        """Return the nodes with what is spoken for, for placement."""
        return [
            NodeRoom(
                known.node,
                known.node.cpu * self.settings.cpu_overcommit,
                int(known.node.memory_bytes * self.settings.memory_overcommit),
                known.cpu_used,
                known.memory_used,
                frozenset(known.gpus_used),
            )
            for known in self.nodes.values()
        ]

    def occupy(self, container: Container) -> None:
        """Take a new container's resources from its node."""
        self.nodes[container.place.node].occupy(container)

    def occupy_again(self, known: KnownNode) -> None:
        """Count what is left on a node that had vanished and is back before its containers are gone."""
        for container in self.containers.values():
            if container.place.node == known.node.name:
                known.occupy(container)

    def release(self, container: Container) -> None:
        """Give a gone container's resources back to its node."""
        known = self.nodes.get(container.place.node)
        if known is not None:
            known.release(container)
