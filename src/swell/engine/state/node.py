"""A node as the engine sees it: what of it is spoken for, how fast it may be filled, and whether it is in service.

This module must not know where containers should go.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING

from swell.config import Settings
from swell.engine.events import NodeView
from swell.model import Node
from swell.policy import pace
from swell.policy.pace import Load, Pace
from swell.policy.placement import NodeRoom
from swell.states import ContainerState

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["KnownNode", "Readiness"]


class Readiness(IntEnum):
    """How soon a node could start one more container for work that waits."""

    NOW = 1  #: as far as is known
    SOON = 2  #: its burst is used up
    LATER = 3  #: its containers are at work, and keep its cores busy


class KnownNode:
    """A machine with the resources that its containers asked for."""

    __slots__ = (
        "_room",
        "_settings",
        "busy_cores",
        "containers",
        "cpu_used",
        "drain_until",
        "fresh",
        "gpus_used",
        "is_draining",
        "lost",
        "memory_used",
        "node",
        "pace",
        "started",
        "starting",
        "unjudged",
        "working_cores",
    )

    def __init__(self, node: Node, settings: Settings) -> None:
        self._settings = settings
        self._room: NodeRoom | None = None  # what `room` returned, unless something has changed
        self.node = node
        self.containers: dict[str, Container] = {}  #: that are not gone
        self.is_draining = False  #: it is to have no containers: nothing is placed there
        self.drain_until = inf  #: when the machine is gone, if that is known
        self.cpu_used = 0.0
        self.memory_used = 0
        self.gpus_used: set[str] = set()
        self.busy_cores = 0.0  #: cores that our containers keep busy, as observed
        self.working_cores = 0.0  #: of these, by containers that are at work; 0 if that is not known of lately
        self.pace: Pace | None = None
        self.starting = 0  #: containers that have not been ready
        self.fresh = 0  #: containers that have checked in since the last observation
        self.unjudged = 0  #: containers that had checked in by then, and might work or sleep
        self.started = 0  #: containers that were ever requested
        self.lost = 0  #: of these, those that died while they were needed

    # ------------------------------------------------------------ how busy it is

    def observe(self, view: NodeView, now: float) -> None:
        """Take in what it has, and what our containers make of its cores."""
        is_recent = pace.is_recent(self.pace, now)
        self.fresh, self.unjudged = 0, view.unjudged
        if view.node != self.node:
            self.node = view.node
            self._room = None
        self.busy_cores = view.busy_cores
        self.working_cores = view.working_cores if is_recent else 0.0
        load = Load(view.node.cpu, view.busy_cores, view.working_cores, sleeps=view.sleepers > 0)
        self.pace = pace.observed(self.pace, load, now)

    def vanish(self) -> None:
        """Note that it is not observed any more: should it come back, its pace begins anew, and it is in service."""
        self.end_drain()
        self.busy_cores = self.working_cores = 0.0
        self.fresh = self.unjudged = 0
        self.pace = None

    def burst(self, now: float) -> int:
        """Return how many of its containers may be unproven."""
        return pace.burst_of(self.pace, cores=self.node.cpu, now=now)

    def use_up_burst(self, now: float) -> None:
        """Note that more containers are wanted than its burst allows."""
        self.pace = pace.used_up(self.pace, now)

    @property
    def unproven(self) -> int:
        """Containers of which it is not known yet whether they work or sleep."""
        return self.starting + self.fresh + self.unjudged

    @property
    def is_busy(self) -> bool:
        """True if containers, also those that start, keep its cores busy."""
        return pace.saturated(self.busy_cores, self.node.cpu)

    @property
    def is_working(self) -> bool:
        """True if containers that are ready keep its cores busy."""
        return pace.saturated(self.working_cores, self.node.cpu)

    @property
    def readiness(self) -> Readiness:
        """How soon it could start one more container, by what was observed last."""
        if self.is_working:
            return Readiness.LATER
        burst = pace.first_burst(self.node.cpu) if self.pace is None else self.pace.burst
        return Readiness.NOW if self.unproven < burst else Readiness.SOON

    # ------------------------------------------------------------ whether it is in service

    def begin_drain(self, until: float) -> None:
        """Note that it is to have no containers; until when, if the machine is gone then, else infinity."""
        self.is_draining, self.drain_until = True, until

    def end_drain(self) -> None:
        """Note that it is in service."""
        self.is_draining, self.drain_until = False, inf

    @property
    def shown_as(self) -> str:
        """Its state under the name that people see: "ready", "draining", or "drained" once it has no containers."""
        if not self.is_draining:
            return "ready"
        return "draining" if self.containers else "drained"

    # ------------------------------------------------------------ what is spoken for

    @property
    def room(self) -> NodeRoom:
        """It, with what is spoken for, for placement."""
        if self._room is None:
            self._room = NodeRoom(
                node=self.node,
                cpu_capacity=self.node.cpu * self._settings.cpu_overcommit,
                memory_capacity=int(self.node.memory_bytes * self._settings.memory_overcommit),
                cpu_used=self.cpu_used,
                memory_used=self.memory_used,
                gpus_used=frozenset(self.gpus_used),
            )
        return self._room

    @property
    def has_free_gpu(self) -> bool:
        """True if it has a GPU that no container has."""
        gpus = self.node.gpus
        return bool(gpus) and any(gpu.uuid not in self.gpus_used for gpu in gpus)  # as most have none

    def occupy(self, container: Container) -> None:
        """Take the resources that a container asks for that is requested."""
        self.containers[container.id] = container
        self.started += 1
        self.starting += 1
        self.cpu_used += container.spec.resources.cpu
        self.memory_used += container.spec.resources.memory_bytes
        self.gpus_used.update(container.place.gpus)
        self._room = None

    def check_in(self) -> None:
        """Note that a container of it is ready."""
        self.starting -= 1
        self.fresh += 1

    def release(self, container: Container) -> None:
        """Give back the resources that a container had that is gone."""
        del self.containers[container.id]
        self.starting -= container.is_starting
        self.lost += container.state is ContainerState.LOST
        self.cpu_used -= container.spec.resources.cpu
        self.memory_used -= container.spec.resources.memory_bytes
        self.gpus_used.difference_update(container.place.gpus)
        self._room = None
        if not self.containers:
            self.cpu_used = 0.0  # sums of requests such as 0.1 are not exact
