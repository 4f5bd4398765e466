"""One function's pool: what it runs, within which settings, and the values that hold the rest of its state.

This module must not know clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.state.backlog import Backlog
from swell.engine.state.backlog_window import BacklogWindow
from swell.engine.state.call_lease import PoolLeases
from swell.engine.state.counts import PoolCounts
from swell.engine.state.estimates import Estimates
from swell.engine.state.fleet import Fleet
from swell.engine.state.measures import Measures
from swell.engine.state.scaling import Scaling
from swell.engine.state.start_backoff import StartBackoff
from swell.engine.state.timers import Timer, Timers
from swell.engine.state.variant import Variant
from swell.model import AutoscalerSettings, Deployment, FunctionSpec
from swell.names import function_label
from swell.policy import autoscale
from swell.policy.sizing import run_ahead
from swell.records import FunctionRecord

if TYPE_CHECKING:
    from swell.engine.state.app import App
    from swell.engine.state.container import Container

__all__ = ["Pool"]


class Pool:
    """Everything the engine knows about one Function (or one variant of it).

    A new version changes `spec`: containers started from then on run it. The former containers go on serving the
    former version until enough new ones stand by to take over (see `Fleet`).
    """

    __slots__ = (
        "_settings",
        "app",
        "backlog",
        "counts",
        "deployment",
        "estimates",
        "fleet",
        "id",
        "is_pinned",
        "is_recorded",
        "is_retired",
        "leases",
        "measures",
        "next_run",
        "override",
        "scaling",
        "settings",
        "spec",
        "start_backoff",
        "timers",
        "variant",
        "version",
        "web_methods",
        "window",
    )

    def __init__(
        self,
        function_id: str,
        app: App,
        spec: FunctionSpec,
        settings: Settings,
        deployment: Deployment,
        *,
        variant: Variant | None = None,
        is_pinned: bool = False,
        is_recorded: bool = False,
    ) -> None:
        self.id = function_id
        self.app = app
        self.spec = spec
        self.web_methods = spec.web_methods  #: what answers HTTP, in the version that is live
        self.deployment = deployment
        self.version = deployment.version
        self.variant = variant  #: None if it is a function as its app declares it
        self.is_pinned = is_pinned  #: keeps its version for good
        self.is_recorded = is_recorded  #: the store has a record of it
        self.is_retired = False  #: takes no calls any more; see `set_retired`
        self.next_run: float | None = None  #: when its schedule is due
        self.override = AutoscalerSettings()
        self.backlog = Backlog()
        self.window = BacklogWindow(settings)
        self.counts = PoolCounts()
        self.leases = PoolLeases()
        self.fleet = Fleet(spec, self.version)
        self.scaling = Scaling()
        self.estimates = Estimates()
        self.start_backoff = StartBackoff()
        self.measures = Measures()
        self.timers = Timers()
        self._settings = settings
        self.settings = self.settings_under(self.override)

    # ------------------------------------------------------------ what it runs, within which settings

    def settings_under(self, override: AutoscalerSettings) -> AutoscalerSettings:
        """Return the settings that would be in force with another run-time layer."""
        settings = autoscale.effective(self.spec.autoscaler, override, self._settings.default_scaledown_window)
        if self.is_retired:  # it only finishes what it has
            settings = replace(settings, min_containers=0, buffer_containers=0)
        return settings

    def set_override(self, override: AutoscalerSettings) -> None:
        """Replace the run-time layer of the autoscaler settings."""
        self.override = override
        self.settings = self.settings_under(override)

    def set_retired(self, is_retired: bool) -> None:
        """Take no calls any more, and keep no containers but the present ones; or go on as before."""
        self.is_retired = is_retired
        self.settings = self.settings_under(self.override)

    def become(self, spec: FunctionSpec, deployment: Deployment) -> None:
        """Run another version from now on, with the settings it declares. Estimates start anew."""
        self.spec, self.deployment, self.version = spec, deployment, deployment.version
        self.web_methods = spec.web_methods
        self.fleet.serve(spec, self.version)
        self.estimates = Estimates()
        self.start_backoff = StartBackoff()
        self.set_override(AutoscalerSettings())

    def take_over(self) -> None:
        """Let the standby containers, of its version, serve; they replace the others."""
        self.fleet.take_over(self.spec, self.version)

    def set_next_run(self, at: float | None) -> None:
        """Spawn its function by schedule at a time, or never again."""
        self.next_run = at
        if at is not None:
            self.timers.arm(Timer.SCHEDULE, at)

    def set_recorded(self, is_recorded: bool) -> None:
        """Note whether the store has a record of it."""
        self.is_recorded = is_recorded

    def record(self) -> FunctionRecord:
        """Return what the store keeps of a pool of a durable app."""
        variant = self.variant
        return FunctionRecord(
            function_id=self.id,
            app_id=self.app.id,
            version=self.version,
            spec=self.spec,
            changes=b"" if variant is None else variant.changes,
            is_pinned=self.is_pinned,
            is_retired=self.is_retired,
            override=self.override,
            next_run=self.next_run,
            is_public=self.is_public,
        )

    # ------------------------------------------------------------ what the specs say

    @property
    def label(self) -> str:
        """Its name for people: "app.function"."""
        return function_label(self.app.name, self.spec.name)

    @property
    def is_public(self) -> bool:
        """True for a variant that only requests over HTTP have asked for."""
        return self.variant is not None and self.variant.is_public

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
        return self.fleet.serving.is_serial

    @property
    def hold_max(self) -> int:
        """Inputs one serial slot may hold, by the measured service time."""
        # The client of a request over HTTP waits for its turn: the request cannot lie in a container's queue.
        return (
            1
            if self.fleet.serving.single_use or self.web_methods
            else run_ahead(self.estimates.service_s, self._settings.run_ahead_ms / 1_000)
        )

    # ------------------------------------------------------------ what there is to do

    @property
    def is_rolling(self) -> bool:
        """True while containers of a former version serve."""
        return self.fleet.serving_version != self.version and bool(self.fleet.ready)

    @property
    def is_empty(self) -> bool:
        """True when none of its calls goes on, in memory or in the store; an open call may yet get inputs."""
        return not (self.counts.open_calls or self.window.stored_calls)

    @property
    def is_down(self) -> bool:
        """True if containers cannot be started lately: the last start failed, none is ready, and none is starting."""
        return bool(self.start_backoff.failures) and not self.fleet.ready and not self.fleet.starting

    @property
    def is_idle(self) -> bool:
        """True while it has no containers and no calls, and its settings want no containers."""
        return not (
            self.fleet.containers
            or self.counts.open_calls
            or self.window.stored_calls
            or self.window.is_reading_calls
            or self.settings.min_containers
        )

    @property
    def longest_spare(self) -> Container | None:
        """The container that has been idle for longest, if there is one and neither inputs nor the floor need it."""
        fleet = self.fleet
        if not fleet.idle or self.backlog.count or fleet.live <= (self.settings.min_containers or 0):
            return None
        return next(iter(fleet.idle.values()))

    @property
    def is_crowded(self) -> bool:
        """True while its floor is on fewer nodes than it could be, if there are others."""
        floor = self.settings.min_containers or 0
        return floor > 1 and len(self.fleet.by_node) < floor

    @property
    def makes_room(self) -> bool:
        """True while it is idle, and its end would not also end the pause after failed starts."""
        return self.is_idle and not self.start_backoff.failures

    @property
    def running_to_size_for(self) -> int:
        """Inputs in containers that count for its size: not the ones that a leaving container will finish by itself."""
        return self.running - self.fleet.finishing_inputs

    @property
    def running(self) -> int:
        """Inputs in containers, as far as is known: a call lease without an announced call counts as one."""
        return self.counts.running_total + self.leases.vacant
