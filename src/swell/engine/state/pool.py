"""A Function's containers, its backlog and what has been learned about both. This module must not know clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.state.backlog import Backlog
from swell.engine.state.estimates import Estimates
from swell.engine.state.fleet import Fleet
from swell.engine.state.history import Decision, decisions
from swell.engine.state.measures import Measures
from swell.engine.state.start_backoff import StartBackoff
from swell.engine.state.timers import Timer, Timers
from swell.model import AutoscalerSettings, Deployment, FunctionSpec
from swell.policy import autoscale
from swell.policy.sizing import run_ahead
from swell.records import FunctionRecord

if TYPE_CHECKING:
    from swell.engine.state.app import App
    from swell.engine.state.call import Call
    from swell.engine.state.container import Container

__all__ = ["Pool"]


class Pool:
    """Everything the engine knows about one Function (or one variant of it).

    A new version changes `spec`: containers started from then on run it. The former containers go on serving the
    former version until enough new ones stand by to take over (see `Fleet`).
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
        self.fleet = Fleet(spec, self.version)
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
        self.estimates = Estimates()
        self.start_backoff = StartBackoff()
        self.plan = autoscale.Plan(0, "idle")
        self.held_back = ""  #: why the plan is not carried out, in words
        self.decisions = decisions()
        self.measures = Measures()
        self.timers = Timers()
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
        self.fleet.serve(spec, self.version)
        self.override = AutoscalerSettings()
        self.estimates = Estimates()
        self.start_backoff = StartBackoff()
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
        return self.fleet.serving.batch_size

    @property
    def is_serial(self) -> bool:
        """True if a container runs one input at a time, so that more may be queued to it ahead."""
        return self.fleet.serving.concurrency.max_inputs == 1 and self.fleet.serving.batching is None

    @property
    def hold_max(self) -> int:
        """Inputs one serial slot may hold, by the measured service time."""
        # A request over HTTP is brought by somebody who waits for its turn: it cannot lie in a container's queue.
        return (
            1
            if self.fleet.serving.single_use or self.web_methods
            else run_ahead(self.estimates.service_s, self._settings.run_ahead_ms / 1_000)
        )

    # ------------------------------------------------------------ counts

    @property
    def is_rolling(self) -> bool:
        """True while containers of a former version serve."""
        return self.fleet.serving_version != self.version and bool(self.fleet.ready)

    @property
    def is_empty(self) -> bool:
        """True when none of its calls goes on, in memory or in the store; one that goes on may yet get inputs."""
        return not (self.calls_open or self.stored_calls)

    @property
    def is_idle(self) -> bool:
        """True while it has no containers and no calls, and its settings want no containers."""
        return not (
            self.fleet.containers
            or self.calls_open
            or self.stored_calls
            or self.loading
            or self.settings.min_containers
        )

    @property
    def makes_room(self) -> bool:
        """True while it is idle, and would not forget that its last containers could not start."""
        return self.is_idle and not self.start_backoff.failures

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
        fleet = self.fleet
        if len(fleet.containers) == fleet.live:
            return self.running_total
        finishing = (c for c in fleet.containers.values() if c.is_finishing and c.id not in fleet.ready)
        return self.running_total - sum(c.executing for c in finishing)

    def take_over(self) -> list[Container]:
        """Let the standby containers, of its version, serve; return those that they replace."""
        return self.fleet.take_over(self.spec, self.version)

    # ------------------------------------------------------------ decisions

    def note_decision(self, now: float) -> None:
        """Keep what was decided about its size, if that is not what was decided before."""
        plan, before = self.plan, self.decisions[-1] if self.decisions else None
        if before is None or (before.plan, before.held_back) != (plan.containers, self.held_back):
            self.decisions.append(Decision(now, plan.containers, self.fleet.live, plan.reason, self.held_back))

    # ------------------------------------------------------------ its schedule

    def run_next(self, at: float | None) -> None:
        """Have its function run by itself at a time, or never again."""
        self.next_run = at
        if at is not None:
            self.timers.arm(Timer.SCHEDULE, at)
