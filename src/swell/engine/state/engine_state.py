"""Everything the engine knows, and the effects it has decided on: plain state with an outbox.

This module must not know a rule; those live in the modules that change it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from swell.config import Settings
from swell.engine.events import Effect, Persist, SendToClient, SendToContainer
from swell.engine.ids import derive_container_id
from swell.engine.state.agenda import Agenda
from swell.engine.state.app import App
from swell.engine.state.blocked import Blocked
from swell.engine.state.call import Call
from swell.engine.state.call_lease import NOBODY, CallLeases
from swell.engine.state.cancellation import Cancellation
from swell.engine.state.clients import Clients
from swell.engine.state.cluster import Cluster
from swell.engine.state.container import Container, Lease
from swell.engine.state.demand import Demand
from swell.engine.state.edges import Edges
from swell.engine.state.history import Histories
from swell.engine.state.measures import RetiredMetrics
from swell.engine.state.pool import Pool
from swell.engine.state.public_variants import PublicVariants
from swell.engine.state.ranking import Ranking
from swell.model import AppKind, AutoscalerSettings, CallKind, Resources
from swell.records import FunctionGone, FunctionRecord, Record
from swell.wire.messages import Message, Outputs

__all__ = ["EngineState"]

RETIRED_METRICS_MAX = 1_000  #: names of functions of which it is known what was counted of their former pools


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
        self.nodes = Cluster(settings)
        self.leaving: set[str] = set()  #: containers that were told to leave, and are not gone
        self.clients = Clients()
        self.leases: dict[str, Lease] = {}  #: by call; that may have ended before its lease
        self.call_leases = CallLeases()
        self.edges = Edges()
        self.app_names: dict[str, str] = {}  #: ids of deployed apps by name
        self.histories = Histories()
        self.ended = 0  #: inputs that have ended in pools that are gone
        #: By app and function; the latest last.
        self.retired_metrics: OrderedDict[tuple[str, str], RetiredMetrics] = OrderedDict()
        self.asked: dict[str, bool] = {}  #: calls that are being read from the store -> did they end meanwhile?
        self.is_stopping = False  #: the server is to end; what lasts goes on with the next one
        self.store_trouble = ""  #: why nothing more can be written down
        self.outbox: list[Effect] = []
        self.cancellations: dict[str, Cancellation] = {}  #: of calls that run still, the first first
        self.agenda = Agenda()  #: pools to dispatch and scale before `handle` returns, or soon after
        self.blocked = Blocked()  #: pools whose plan waits for room or for the node's pace
        self.demand = Demand()  #: what these lack, as far as another node would give it
        self.crowded: dict[str, Pool] = {}  #: pools whose floor could be on more nodes
        self.spare = Ranking()  #: pools with an idle container that they do not need, the longest idle first
        self.changed: dict[str, None] = {}  #: apps of which pools were looked at, for those who watch them
        self.seed = seed  #: of the ids that are derived
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

    def send_to_caller(self, call: Call, message: Outputs, payload: bytes | memoryview) -> None:
        """Send results to the client of a call; if only its container has announced it, keep them until that does."""
        if call.client == NOBODY:
            self.call_leases.keep_unclaimed(message, payload)
        else:
            self.outbox.append(SendToClient(call.client, message, payload))

    def send_to_container(self, container: Container, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message to a container."""
        self.outbox.append(SendToContainer(container.id, message, payload))

    def persist(self, record: Record) -> None:
        """Write something down. What is said after it, to anyone, is said when it is durable."""
        self.outbox.append(Persist(record))

    def mark_dirty(self, pool: Pool) -> None:
        """Have the pool's inputs placed and its size reconsidered before this event is over."""
        self.agenda.mark(pool)

    def note_changed(self, app: App) -> None:
        """Note that a pool of an app was looked at."""
        self.changed[app.id] = None

    def take_changed(self) -> list[str]:
        """Return the apps that may have changed, and forget that they have."""
        changed = list(self.changed)
        self.changed.clear()
        return changed

    def take_effects(self) -> list[Effect]:
        """Return the effects decided on, for the shell to carry out."""
        effects, self.outbox = self.outbox, []
        return effects

    def drop_effects(self, after: int) -> None:
        """Decide against the effects after the first `after` ones."""
        del self.outbox[after:]

    # ------------------------------------------------------------ the server

    def begin_stopping(self) -> None:
        """Note that the server is to end."""
        self.is_stopping = True

    def note_store_trouble(self, why: str) -> None:
        """Note why nothing more can be written down; "" if it can."""
        self.store_trouble = why

    # ------------------------------------------------------------ leases

    def add_lease(self, call_id: str, lease: Lease) -> None:
        """Note that a request has a slot."""
        self.leases[call_id] = lease
        self.clients.bind_lease(call_id, lease)

    def remove_lease(self, call_id: str) -> None:
        """Note that a request has no slot any more."""
        self.clients.unbind_lease(call_id, self.leases.pop(call_id))

    def forget_over(self, pool: Pool) -> None:
        """Forget the call leases of a pool that are over."""
        for lease in pool.leases.take_over():
            self.call_leases.remove(lease)
            pool.timers.forget(lease.id)

    # ------------------------------------------------------------ ids

    def mint_container_id(self) -> str:
        """Return the id of a new container."""
        self._minted += 1
        return derive_container_id(self.seed, self._minted)

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

    # ------------------------------------------------------------ apps

    def add_app(self, app: App) -> None:
        """Take in an app; a deployed one is found by its name from now on."""
        self.apps[app.id] = app
        if app.owner is not None:
            self.clients.bind_app(app.owner, app)
        if app.kind is AppKind.DEPLOYED:
            self.app_names[app.name] = app.id

    def remove_name(self, app: App) -> None:
        """Have an app not be found by its name any more."""
        if self.app_names.get(app.name) == app.id:
            del self.app_names[app.name]

    def remove_app(self, app: App) -> None:
        """Forget an app of which nothing is left."""
        del self.apps[app.id]
        self.changed.pop(app.id, None)
        self.clients.unbind_app(app)

    def answer_at_end(self, app: App, client: int, request: int) -> None:
        """Have a client's request answered when nothing of an app is left."""
        app.answer_at_end(client, request)
        self.clients.bind_app(client, app)

    # ------------------------------------------------------------ clients and their calls

    def begin_lag(self, client: int) -> None:
        """Hold what would be sent to a client that does not read."""
        self.clients.begin_lag(client)
        self.hold_if_told(client, self.clients.calls_of.get(client, {}).values())

    def end_lag(self, client: int) -> None:
        """Let the calls of a client go on that reads again."""
        self.clients.end_lag(client)
        for call in self.clients.calls_of.get(client, {}).values():
            call.pool.backlog.let_go(call)
            self.mark_dirty(call.pool)

    def begin_lookup(self, call_id: str) -> bool:
        """Note that the store is asked for a call; False if it was asked before, and has not answered."""
        if call_id in self.asked:
            return False
        self.asked[call_id] = False
        return True

    def note_ended(self, call_id: str) -> None:
        """Note that a spawned call has ended: what the store is reading of it is outdated."""
        if call_id in self.asked:
            self.asked[call_id] = True

    def end_lookup(self, call_id: str) -> bool:
        """Note that the store has answered; True if the call has ended meanwhile, so that the answer is outdated."""
        return self.asked.pop(call_id, False)

    def enroll(self, call: Call) -> None:
        """Take a call that goes on into memory."""
        self.calls[call.id] = call
        call.pool.counts.open_call()
        call.pool.app.add_call(call)
        if call.kind.is_async:
            call.pool.window.add(call)

    def bind(self, client: int, call: Call) -> None:
        """Note that a call concerns a client, so that the client's end is noticed."""
        self.clients.bind_call(client, call)
        if client in self.clients.lagging:
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
            pool = held[0].pool
            pool.backlog.hold(held)
            self.mark_dirty(pool)  # it may have containers to spare now

    def claim(self, client: int, call: Call) -> None:
        """Note who waits for a call, of which that was not known, or on another connection."""
        self.clients.unbind_call(call)
        call.claim(client)
        self.bind(client, call)

    def unbind(self, call: Call) -> None:
        """Forget a call that is over, or that is left to the store."""
        del self.calls[call.id]
        call.pool.backlog.let_go(call)
        call.pool.counts.close_call()
        call.pool.app.remove_call(call)
        if call.kind.is_async:
            call.pool.window.remove(call)
        self.clients.unbind_call(call)

    # ------------------------------------------------------------ pools

    def add_pool(self, pool: Pool) -> None:
        """Take in a new pool."""
        self.pools[pool.id] = pool
        pool.app.add_pool(pool)
        self.edges.note(pool)
        if pool.variant is not None and pool.variant.is_public:
            self.public_variants.setdefault(pool.variant.base_id, PublicVariants()).add(pool)
        self.mark_dirty(pool)

    def keep(self, pool: Pool, *, has_calls: bool = False) -> None:
        """Write down what is kept of a pool, if its app outlives its clients.

        A public variant is written down when its settings are changed at run time, or a call is spawned in it; not
        before, so that a request writes nothing.
        """
        is_needed = has_calls or not pool.is_public or pool.is_recorded or pool.override != AutoscalerSettings()
        if pool.app.kind.is_durable and is_needed:
            pool.set_recorded(True)
            self.persist(pool.record())

    def discard(self, pool: Pool) -> None:
        """Delete what is kept of a pool that is gone for good."""
        if pool.is_recorded:
            pool.set_recorded(False)
            self.persist(FunctionGone(pool.id))

    def add_dormant(self, app: App, record: FunctionRecord) -> None:
        """Keep the record of a variant that is put away."""
        app.add_dormant(record)
        self.dormant[record.function_id] = app

    def remove_dormant(self, app: App, function_id: str) -> None:
        """Drop the record of a variant that comes back, or is forgotten."""
        app.remove_dormant(function_id)
        del self.dormant[function_id]

    def no_longer_public(self, pool: Pool) -> None:
        """Remove a variant from the public ones of its function."""
        variant = pool.variant
        assert variant is not None, "only variants are public"
        siblings = self.public_variants[variant.base_id]
        siblings.remove(pool)
        if not siblings.pools:
            del self.public_variants[variant.base_id]

    def forget(self, pool: Pool) -> None:
        """Forget a pool of which nothing is left."""
        self.pools.pop(pool.id, None)
        self.edges.forget(pool)
        if pool.is_public:
            self.no_longer_public(pool)
        self.agenda.forget(pool)
        self.unblock(pool)
        self.spare.remove(pool.id)
        self.crowded.pop(pool.id, None)
        self.ended += pool.counts.done
        self._keep_counts(pool)

    def _keep_counts(self, pool: Pool) -> None:
        """Keep what was counted of a pool that is gone: others may have its name, and their sum must not fall."""
        name = (pool.app.name, pool.spec.name)
        retired = self.retired_metrics[name] = self.retired_metrics.pop(name, None) or RetiredMetrics()
        retired.add_pool(pool.measures, pool.counts.accepted)
        if len(self.retired_metrics) > RETIRED_METRICS_MAX:
            self.retired_metrics.popitem(last=False)

    # ------------------------------------------------------------ calls that are cancelled

    def begin_cancellation(self, cancellation: Cancellation) -> None:
        """Note that what a call runs is being stopped."""
        self.cancellations[cancellation.call.id] = cancellation

    def end_cancellation(self, cancellation: Cancellation) -> None:
        """Note that all that a call ran was stopped."""
        del self.cancellations[cancellation.call.id]

    # ------------------------------------------------------------ room

    def mark_all_dirty(self, pools: Iterable[Pool]) -> None:
        """Have pools dispatched and scaled before this event is over."""
        for pool in pools:
            self.mark_dirty(pool)

    def block(self, pool: Pool, lacks: Resources | None, missing: int, *, is_paced: bool, has_grown: bool) -> None:
        """Note that a pool's plan waits for room, or for a node's pace, perhaps after some of it was carried out.

        Args:
            pool: whose plan it is.
            lacks: what one container more would take, if another node would be of use; None if not.
            missing: so many containers more are in the plan.
            is_paced: it waits until the nodes are observed.
            has_grown: some of it was carried out.
        """
        if lacks is None:
            self.demand.cap(pool.id, missing)
        else:
            self.demand.note(pool.id, lacks, missing)
        self.mark_all_dirty(self.blocked.add(pool, is_paced=is_paced, has_grown=has_grown))

    def unblock(self, pool: Pool) -> None:
        """Note that a pool's plan does not wait any more."""
        self.demand.forget(pool.id)
        if pool.id in self.blocked:
            self.mark_all_dirty(self.blocked.remove(pool))

    def room_came(self) -> None:
        """Reconsider pools that could not grow: a container is gone, or has started."""
        self.mark_all_dirty(self.blocked.room_came())

    def note_crowded(self, pool: Pool) -> None:
        """Note whether the floor of a pool that was looked at could be on more nodes."""
        if pool.is_crowded:
            self.crowded[pool.id] = pool
        else:
            self.crowded.pop(pool.id, None)

    def node_came(self) -> None:
        """Have pools looked at in ticks whose floor could be on more nodes: there is one more."""
        for pool in self.crowded.values():
            self.agenda.put_off(pool)

    def note_spare(self, pool: Pool) -> None:
        """Note whether a pool that was looked at has a container to spare for one that has none."""
        longest_idle = pool.longest_spare
        if longest_idle is None:
            self.spare.remove(pool.id)
            return
        is_new = pool.id not in self.spare
        self.spare.put(pool.id, longest_idle.idle_since)
        if is_new and self.blocked.has_starved and not self.leaving:
            self.mark_all_dirty(self.blocked.room_can_be_made())

    # ------------------------------------------------------------ containers

    def add_container(self, container: Container) -> None:
        """Take in a container that is requested, and its resources from its node."""
        self.containers[container.id] = container
        container.pool.app.count_container(1)
        self.nodes.occupy(container)

    def note_check_in(self, container: Container) -> None:
        """Note that a container is ready."""
        self.nodes.check_in(container)

    def remove_container(self, container: Container) -> None:
        """Forget a container that is gone, and give its resources back to its node."""
        del self.containers[container.id]
        container.pool.app.count_container(-1)
        self.leaving.discard(container.id)
        self.nodes.release(container)

    def note_leaving(self, container: Container) -> None:
        """Note that a container was told to leave."""
        self.leaving.add(container.id)
