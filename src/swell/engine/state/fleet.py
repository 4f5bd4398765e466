"""The containers of one pool, by what they are there for.

This module must not know inputs, how many containers there should be, or time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from swell.engine.state.load_index import LoadIndex
from swell.engine.state.roster import Roster
from swell.model import FunctionSpec

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["Fleet"]


class Fleet:
    """The containers of a pool that are not gone, each in one of these groups until it is retired.

        starting ──check_in──▶ ready ◀─▶ idle (ready ones that hold nothing)
            └────────────────▶ standby ──take_over──▶ ready

    All in `ready` run the same code: `serving`, of version `serving_version`. Containers of another version that have
    checked in stand by until there are enough of them to take over together. Those that a new version has replaced are
    told so at once, or in ticks if they are very many; until then they are in `replaced`.

    No event may cost more because there are more containers, so each is also where it is looked for: `busy` has those
    that may be given more by their load, `reclaiming` those that are asked to return inputs, `leaving` those that were
    told to leave, and the inputs that retired ones will finish by themselves are counted. A container has all of these
    agree with it whenever its state or its load changes (`note_load`). `by_node` has those that are
    not retired, by their node.
    """

    __slots__ = (
        "_finishing",
        "_roster",
        "busy",
        "by_node",
        "checked_in",
        "containers",
        "finishing_inputs",
        "idle",
        "leaving",
        "ready",
        "reclaiming",
        "replaced",
        "serving",
        "serving_version",
        "standby",
        "starting",
    )

    def __init__(self, spec: FunctionSpec, version: int) -> None:
        self.serving = spec
        self.serving_version = version
        self.containers: dict[str, Container] = {}  #: not yet gone, in a group or retired
        self.starting: OrderedDict[str, Container] = OrderedDict()  #: have not checked in; the first requested first
        self.ready: dict[str, Container] = {}  #: take inputs
        self.idle: OrderedDict[str, Container] = OrderedDict()  #: of these, what holds no input; the longest idle first
        self.standby: dict[str, Container] = {}  #: of a new version, waiting to take over
        self.by_node: dict[str, dict[str, Container]] = {}  #: that start, are ready or stand by; none is empty
        self.busy = LoadIndex()  #: of the ready ones, those that hold inputs and may be given more, by load
        self.reclaiming: set[str] = set()  #: of the ready ones, those that are asked to return inputs
        #: Retired because of a new version, and not told yet; with the reason if what they run is to be stopped.
        self.replaced: OrderedDict[str, tuple[Container, str]] = OrderedDict()
        self.leaving: dict[str, Container] = {}  #: were told to leave, and are not gone
        self.checked_in = 0  #: that have been ready, and are not gone
        self.finishing_inputs = 0  #: inputs that retired containers will finish by themselves
        self._finishing: dict[str, int] = {}  # these inputs by container
        self._roster = Roster()

    @property
    def live(self) -> int:
        """Containers that count against max_containers: all but the retired ones."""
        return len(self.starting) + len(self.ready) + len(self.standby)

    @property
    def latest_idle(self) -> Container | None:
        """The idle container that was used last; None if none is idle."""
        return self.idle[next(reversed(self.idle))] if self.idle else None

    @property
    def first_starting(self) -> Container | None:
        """The container that has been starting for the longest time; None if none starts."""
        return next(iter(self.starting.values()), None)

    def sample(self, most: int) -> list[Container]:
        """Return some of the ready containers, evenly chosen; all, if there are no more than `most`."""
        return self._roster.sample(most)

    # ------------------------------------------------------------ a container's way

    def add(self, container: Container) -> None:
        """Count a container that was requested."""
        self.containers[container.id] = self.starting[container.id] = container
        self.by_node.setdefault(container.place.node, {})[container.id] = container

    def check_in(self, container: Container) -> None:
        """Move a container that has started to those that take inputs, or to the standby of its version."""
        self.checked_in += 1
        if self.starting.pop(container.id, None) is None:
            return  # it was replaced, and will be told
        if not self.ready:
            self.serving, self.serving_version = container.spec, container.version
        if container.version == self.serving_version:
            self._make_ready(container)
        else:
            self.standby[container.id] = container

    def retire(self, container: Container) -> None:
        """Take a container that is to leave out of its group."""
        container_id = container.id
        for group in (self.starting, self.ready, self.idle, self.standby):
            group.pop(container_id, None)
        self._leave_node(container)
        self.replaced.pop(container_id, None)
        self.busy.remove(container_id)
        self.reclaiming.discard(container_id)
        self._roster.remove(container_id)
        self.note_load(container)

    def remove(self, container: Container) -> None:
        """Forget a container whose process has ended."""
        self.retire(container)
        del self.containers[container.id]
        self.checked_in -= not container.is_starting
        self.leaving.pop(container.id, None)
        self.finishing_inputs -= self._finishing.pop(container.id, 0)

    def _leave_node(self, container: Container) -> None:
        beside = self.by_node.get(container.place.node, {})
        if beside.pop(container.id, None) is not None and not beside:
            del self.by_node[container.place.node]

    def _make_ready(self, container: Container) -> None:
        self.ready[container.id] = self.idle[container.id] = container
        self._roster.add(container)

    # ------------------------------------------------------------ what a container holds, and whether it stays

    def note_load(self, container: Container) -> None:
        """Find a container where its state and the inputs that it holds put it."""
        container_id = container.id
        if container_id not in self.ready:
            self._note_finishing(container)
        elif container.is_held:
            self.idle.pop(container_id, None)
            load = container.load
            if load is None:
                self.busy.remove(container_id)
            else:
                self.busy.put(container, load)
            if container.reclaiming:
                self.reclaiming.add(container_id)
            elif self.reclaiming:
                self.reclaiming.discard(container_id)
        else:
            self.busy.remove(container_id)
            self.reclaiming.discard(container_id)
            if container_id not in self.idle:
                self.idle[container_id] = container

    def _note_finishing(self, container: Container) -> None:
        container_id = container.id
        if container.was_told_to_leave and container_id in self.containers:
            self.leaving[container_id] = container
        inputs = container.running if container.is_finishing else 0
        change = inputs - self._finishing.get(container_id, 0)
        if change:
            self.finishing_inputs += change
            self._finishing[container_id] = inputs

    # ------------------------------------------------------------ versions

    def serve(self, spec: FunctionSpec, version: int) -> None:
        """Serve another version from now on, unless containers of the former one are ready."""
        if not self.ready:
            self.serving, self.serving_version = spec, version

    def replace(self, containers: Iterable[Container], reason: str = "") -> None:
        """Take containers of a former version out of their groups; with a reason, what they run is to be stopped."""
        for container in containers:
            self.retire(container)
            self.replaced[container.id] = container, reason

    def take_over(self, spec: FunctionSpec, version: int) -> None:
        """Let the standby containers, of this version, serve; they replace those that are ready."""
        replaced, standby = list(self.ready.values()), self.standby
        self.ready, self.standby = {}, {}
        self.idle, self.busy, self._roster = OrderedDict(), LoadIndex(), Roster()
        self.reclaiming.clear()
        for container in standby.values():
            self._make_ready(container)
        for container in replaced:
            self._leave_node(container)
            self.note_load(container)
            self.replaced[container.id] = container, ""
        self.serving, self.serving_version = spec, version
