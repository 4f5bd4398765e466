"""A Function's containers, its backlog and what has been learned about both. This module must not know clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.config import Settings
from swell.engine.backlog import Backlog
from swell.engine.container import Container
from swell.model import AutoscalerSettings, FunctionSpec
from swell.policy import autoscale
from swell.policy.sizing import run_ahead
from swell.states import ContainerState

if TYPE_CHECKING:
    from swell.engine.app import App

__all__ = ["STARTING", "Pool"]

STARTING = (ContainerState.REQUESTED, ContainerState.STARTING)


class Pool:
    """Everything the engine knows about one Function (or one variant of it)."""

    def __init__(self, function_id: str, app: App, spec: FunctionSpec, settings: Settings) -> None:
        self.id = function_id
        self.app = app
        self.spec = spec
        self.override = AutoscalerSettings()
        self.backlog = Backlog()
        self.containers: dict[str, Container] = {}  #: not yet gone, whatever their state
        self.starting: dict[str, Container] = {}  #: of these, those that have not checked in
        self.ready: dict[str, Container] = {}  #: those that are there for inputs; most recently used last
        self.idle: dict[str, Container] = {}  #: of the ready ones, those that hold nothing; longest idle first
        self.pending = {True: 0, False: 0}  #: inputs waiting, by "is asynchronous"
        self.running = {True: 0, False: 0}  #: inputs in containers, likewise
        self.accepted = 0
        self.done = 0
        self.service_s: float | None = None  #: time an input keeps a slot, learned
        self.overdue_s = 0.0  #: for how long most containers have been at their input, if longer than estimated
        self.start_s: float | None = None  #: time from request to ready, learned
        self.start_failures = 0  #: in a row
        self.start_not_before = 0.0
        self.plan = autoscale.Plan(0, "idle")
        self.held_back = ""  #: why the plan is not carried out, in words
        self.deadlines: dict[str, float] = {}  #: kind -> when to look; a lower bound, looking is cheap
        self.wake_at = float("inf")
        self._settings = settings
        self._refresh()

    def _refresh(self) -> None:
        self.settings = autoscale.effective(
            self.spec.autoscaler, self.override, self._settings.default_scaledown_window
        )

    def set_override(self, override: AutoscalerSettings) -> None:
        """Replace the run-time layer of the autoscaler settings."""
        self.override = override
        self._refresh()

    # ------------------------------------------------------------ what the spec says

    @property
    def batch_size(self) -> int:
        """Inputs that share one slot."""
        return self.spec.batching.max_batch_size if self.spec.batching else 1

    @property
    def capacity(self) -> int:
        """Inputs one container should work on at once."""
        return self.spec.concurrency.target_inputs * self.batch_size

    @property
    def is_serial(self) -> bool:
        """True if a container runs one input at a time, so that more may be queued to it ahead."""
        return self.spec.concurrency.max_inputs == 1 and self.spec.batching is None

    def is_async(self, method: str) -> bool:
        """Tell whether inputs of a method, or of the function for "", run on an event loop."""
        if self.spec.cls is None:
            return self.spec.is_async
        return any(each.is_async for each in self.spec.cls.methods if each.name == method)

    @property
    def hold_max(self) -> int:
        """Inputs one serial slot may hold, by the measured service time."""
        return 1 if self.spec.single_use else run_ahead(self.service_s, self._settings.run_ahead_ms / 1_000)

    # ------------------------------------------------------------ counts

    @property
    def live(self) -> int:
        """Containers that count against max_containers: those that start or are there for inputs."""
        return len(self.starting) + len(self.ready)

    @property
    def running_total(self) -> int:
        """Inputs in containers."""
        return self.running[True] + self.running[False]

    @property
    def needing(self) -> int:
        """Inputs in containers, without those that a container on its way out will finish by itself."""
        if len(self.containers) == self.live:
            return self.running_total
        finishing = (c for c in self.containers.values() if c.leaving and not c.killed and c.id not in self.ready)
        return self.running_total - sum(c.executing for c in finishing)

    # ------------------------------------------------------------ containers

    def requested(self, container: Container) -> None:
        """Count a container that has been asked for."""
        self.containers[container.id] = self.starting[container.id] = container

    def checked_in(self, container: Container) -> None:
        """Note that a container is ready for inputs."""
        del self.starting[container.id]
        self.ready[container.id] = self.idle[container.id] = container

    def has_work(self, container: Container) -> None:
        """Note that a container was given inputs, and is the most recently used."""
        self.idle.pop(container.id, None)
        self.ready[container.id] = self.ready.pop(container.id)

    def has_none(self, container: Container) -> None:
        """Note that a container holds no inputs any more."""
        if container.id in self.ready:
            self.idle[container.id] = container

    def retire(self, container: Container) -> None:
        """Note that a container takes no more inputs; what it holds it may finish."""
        container.leaving = True
        for group in (self.starting, self.ready, self.idle):
            group.pop(container.id, None)

    def gone(self, container: Container) -> None:
        """Forget a container that is no more."""
        self.retire(container)
        del self.containers[container.id]

    # ------------------------------------------------------------ deadlines

    def arm(self, kind: str, at: float) -> None:
        """Make sure that `kind` is looked at no later than `at`."""
        if at < self.deadlines.get(kind, float("inf")):
            self.deadlines[kind] = at

    @property
    def next_deadline(self) -> float:
        """When to look at this pool next; infinity if nothing is due by time."""
        return min(self.deadlines.values(), default=float("inf"))
