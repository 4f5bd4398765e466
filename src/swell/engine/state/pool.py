"""A Function's containers, its backlog and what has been learned about both. This module must not know clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.state.backlog import Backlog
from swell.engine.state.container import Container
from swell.engine.state.history import Decision, decisions
from swell.engine.state.measures import Measures
from swell.model import AutoscalerSettings, Deployment, FunctionSpec
from swell.policy import autoscale
from swell.policy.sizing import run_ahead
from swell.records import FunctionRecord
from swell.states import ContainerState

if TYPE_CHECKING:
    from swell.engine.state.app import App
    from swell.engine.state.call import Call

__all__ = ["STARTING", "Pool"]

STARTING = (ContainerState.REQUESTED, ContainerState.STARTING)


class Pool:
    """Everything the engine knows about one Function (or one variant of it).

    A new version changes `spec`: containers started from then on run it. Those that are there go on with the former
    one, `serving`, until enough of the new ones wait in `relief` to take over. So all in `ready` run the same code.
    """

    def __init__(
        self, function_id: str, app: App, spec: FunctionSpec, settings: Settings, deployment: Deployment
    ) -> None:
        self.id = function_id
        self.app = app
        self.spec = spec
        self.version = deployment.version
        self.deployed_at = deployment.deployed_at
        self.environment = deployment.environment
        self.serving = spec
        self.serving_version = self.version
        self.changes = b""  #: what it changes of its base, for a variant
        self.base_id = ""  #: the function that it is a variant of
        self.is_public = False  #: a variant that only requests over HTTP have asked for
        self.is_recorded = False  #: the store has a record of it
        self.idle_at: float | None = None  #: for a variant: since when it has been idle
        self.is_pinned = False  #: keeps its version for good
        self.is_retired = False  #: takes no calls any more; see `set_retired`
        self.override = AutoscalerSettings()
        self.next_run: float | None = None  #: when its schedule is due
        self.backlog = Backlog()
        self.containers: dict[str, Container] = {}  #: not yet gone, whatever their state
        self.starting: dict[str, Container] = {}  #: of these, those that have not checked in
        self.ready: dict[str, Container] = {}  #: those that are there for inputs; most recently used last
        self.idle: dict[str, Container] = {}  #: of the ready ones, those that hold nothing; longest idle first
        self.relief: dict[str, Container] = {}  #: those of a new version that wait to take over
        self.pending = {True: 0, False: 0}  #: inputs waiting, by "is asynchronous"
        self.running = {True: 0, False: 0}  #: inputs in containers, likewise
        self.calls_open = 0  #: calls in memory that have not ended
        self.spawned: dict[str, Call] = {}  #: of these, those that were spawned
        self.thin: dict[str, Call] = {}  #: and of these, those of which more should be in memory
        self.stored_calls = 0  #: spawned calls that are in the store alone
        self.stored_inputs = 0  #: their inputs that wait
        self.loaded_upto = 0  #: sequence of the last one that was read back
        self.loading = False  #: some have been asked for
        self.ended_meanwhile: set[str] = set()  #: calls that ended since: what is read of them is out of date
        self.reads = 0  #: of its calls in memory, those of which more has been asked for
        self.is_turn_of_calls = False  #: of those in the store: others were read on though there is hardly room
        self.bytes_at_hand = 0  #: payload of spawned calls in memory
        self.accepted = 0
        self.done = 0
        self.service_s: float | None = None  #: time an input keeps a slot, learned
        self.overdue_s = 0.0  #: for how long most containers have been at their input, if longer than estimated
        self.start_s: float | None = None  #: time from request to ready, learned
        self.start_failures = 0  #: in a row
        self.start_not_before = 0.0
        self.plan = autoscale.Plan(0, "idle")
        self.held_back = ""  #: why the plan is not carried out, in words
        self.decisions = decisions()
        self.measures = Measures()
        self.deadlines: dict[str, float] = {}  #: kind -> when to look; a lower bound, looking is cheap
        self.wake_at = float("inf")
        self._settings = settings
        self.web_methods = spec.web_methods  #: what answers HTTP, in the version that is live
        self._refresh()

    def _refresh(self) -> None:
        self.settings = self.settings_under(self.override)

    def settings_under(self, override: AutoscalerSettings) -> AutoscalerSettings:
        """Return the settings that would be in force with another run-time layer."""
        settings = autoscale.effective(self.spec.autoscaler, override, self._settings.default_scaledown_window)
        if self.is_retired:  # it only finishes what it has
            settings = replace(settings, min_containers=0, buffer_containers=0)
        return settings

    def set_override(self, override: AutoscalerSettings) -> None:
        """Replace the run-time layer of the autoscaler settings."""
        self.override = override
        self._refresh()

    def set_retired(self, is_retired: bool) -> None:
        """Take no calls any more, and keep no containers but for those it has; or go on as before."""
        self.is_retired = is_retired
        self._refresh()

    def become(self, spec: FunctionSpec, deployment: Deployment) -> None:
        """Run another version from now on. Its settings are those it declares; what was learned of its code is void."""
        self.spec, self.version, self.environment = spec, deployment.version, deployment.environment
        self.deployed_at = deployment.deployed_at
        self.web_methods = spec.web_methods
        if not self.ready:
            self._serve(spec, self.version)
        self.override = AutoscalerSettings()
        self.service_s = self.start_s = None
        self.overdue_s = self.start_not_before = 0.0
        self.start_failures = 0
        self._refresh()

    def record(self) -> FunctionRecord:
        """Return what is kept of a pool of a lasting app."""
        return FunctionRecord(
            self.id,
            self.app.id,
            self.version,
            self.spec,
            self.changes,
            self.is_pinned,
            self.is_retired,
            self.override,
            self.next_run,
            self.is_public,
        )

    # ------------------------------------------------------------ what the specs say

    @property
    def label(self) -> str:
        """Its name for people: "app.function"."""
        return f"{self.app.name}.{self.spec.name.removesuffix('.*')}"

    @property
    def capacity(self) -> int:
        """Inputs one new container should work on at once."""
        return self.spec.concurrency.target_inputs * self.spec.batch_size

    @property
    def batch_size(self) -> int:
        """Inputs that share one slot."""
        return self.serving.batch_size

    @property
    def is_serial(self) -> bool:
        """True if a container runs one input at a time, so that more may be queued to it ahead."""
        return self.serving.concurrency.max_inputs == 1 and self.serving.batching is None

    @property
    def hold_max(self) -> int:
        """Inputs one serial slot may hold, by the measured service time."""
        # A request over HTTP is brought by somebody who waits for its turn: it cannot lie in a container's queue.
        return (
            1
            if self.serving.single_use or self.web_methods
            else run_ahead(self.service_s, self._settings.run_ahead_ms / 1_000)
        )

    # ------------------------------------------------------------ counts

    @property
    def live(self) -> int:
        """Containers that count against max_containers: those that start or are there for inputs."""
        return len(self.starting) + len(self.ready) + len(self.relief)

    @property
    def is_rolling(self) -> bool:
        """True while containers of a former version serve."""
        return self.serving_version != self.version and bool(self.ready)

    @property
    def is_empty(self) -> bool:
        """True when none of its calls goes on, in memory or in the store; one that goes on may yet get inputs."""
        return not (self.calls_open or self.stored_calls)

    @property
    def is_idle(self) -> bool:
        """True while it has no containers and no calls, and its settings want no containers."""
        return not (
            self.containers or self.calls_open or self.stored_calls or self.loading or self.settings.min_containers
        )

    @property
    def makes_room(self) -> bool:
        """True while it is idle, and would not forget that its last containers could not start."""
        return self.is_idle and not self.start_failures

    @property
    def is_full(self) -> bool:
        """True when as many spawned calls are in memory as should be: further ones are left to the store."""
        settings = self._settings
        return (
            self.stored_calls > 0
            or len(self.spawned) >= settings.backlog_calls_max
            or self.bytes_at_hand >= settings.backlog_bytes_max
        )

    def note_thin(self, call: Call) -> None:
        """Have more of a spawned call read back, if little of it is left in memory."""
        if call.stored and call.in_memory < self._settings.backlog_inputs_max // 2:
            self.thin[call.id] = call

    @property
    def pending_total(self) -> int:
        """Inputs that wait, in memory or in the store."""
        return self.pending[True] + self.pending[False]

    @property
    def running_total(self) -> int:
        """Inputs in containers."""
        return self.running[True] + self.running[False]

    @property
    def needing(self) -> int:
        """Inputs in containers, without those that a container on its way out will finish by itself."""
        if len(self.containers) == self.live:
            return self.running_total
        finishing = (c for c in self.containers.values() if c.leaving and not c.is_cut_short and c.id not in self.ready)
        return self.running_total - sum(c.executing for c in finishing)

    # ------------------------------------------------------------ containers

    def requested(self, container: Container) -> None:
        """Count a container that has been asked for."""
        self.containers[container.id] = self.starting[container.id] = container

    def checked_in(self, container: Container) -> None:
        """Note that a container is ready for inputs. One of a new version waits until it is time to take over."""
        del self.starting[container.id]
        if not self.ready:
            self._serve(container.spec, container.version)
        if container.version == self.serving_version:
            self.ready[container.id] = self.idle[container.id] = container
        else:
            self.relief[container.id] = container

    def take_over(self) -> list[Container]:
        """Let the containers of the new version serve; return those that are relieved."""
        relieved = list(self.ready.values())
        self.ready, self.relief = self.relief, {}
        self.idle = dict(self.ready)
        self._serve(self.spec, self.version)
        return relieved

    def _serve(self, spec: FunctionSpec, version: int) -> None:
        self.serving, self.serving_version = spec, version

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
        for group in (self.starting, self.ready, self.idle, self.relief):
            group.pop(container.id, None)

    def gone(self, container: Container) -> None:
        """Forget a container that is no more."""
        self.retire(container)
        del self.containers[container.id]

    # ------------------------------------------------------------ decisions

    def note_decision(self, now: float) -> None:
        """Keep what was decided about its size, if that is not what was decided before."""
        plan, before = self.plan, self.decisions[-1] if self.decisions else None
        if before is None or (before.plan, before.held_back) != (plan.containers, self.held_back):
            self.decisions.append(Decision(now, plan.containers, self.live, plan.reason, self.held_back))

    # ------------------------------------------------------------ deadlines

    def run_next(self, at: float | None) -> None:
        """Have its function run by itself at a time, or never again."""
        self.next_run = at
        if at is not None:
            self.arm("schedule", at)

    def arm(self, kind: str, at: float) -> None:
        """Make sure that `kind` is looked at no later than `at`."""
        if at < self.deadlines.get(kind, float("inf")):
            self.deadlines[kind] = at

    @property
    def next_deadline(self) -> float:
        """When to look at this pool next; infinity if nothing is due by time."""
        return min(self.deadlines.values(), default=float("inf"))
