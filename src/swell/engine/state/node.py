"""A node as the engine sees it: what of it is spoken for, and how fast it may be filled.

This module must not know where containers should go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.model import Node
from swell.policy import pace
from swell.policy.pace import Pace

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["KnownNode"]


class KnownNode:
    """A machine with the resources that its containers asked for."""

    __slots__ = ("busy_cores", "cpu_used", "gpus_used", "memory_used", "node", "pace")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cpu_used = 0.0
        self.memory_used = 0
        self.gpus_used: set[str] = set()
        self.busy_cores = 0.0  #: cores that our containers keep busy, as observed
        self.pace: Pace | None = None

    def observe(self, node: Node, busy_cores: float) -> None:
        """Take in what it has, and how many of its cores our containers keep busy."""
        self.node = node
        self.busy_cores = busy_cores
        self.pace = pace.observed(self.pace, busy_cores=busy_cores, cores=node.cpu)

    def begin_pace(self) -> Pace:
        """Return its pace; the first one, if it was not observed before."""
        if self.pace is None:
            self.pace = pace.observed(None, busy_cores=0.0, cores=self.node.cpu)
        return self.pace

    def count_start(self) -> None:
        """Count a container that is started because of demand."""
        if self.pace is not None:
            self.pace = pace.started(self.pace)

    def occupy(self, container: Container) -> None:
        """Take the resources that a container asks for."""
        self.cpu_used += container.spec.resources.cpu
        self.memory_used += container.spec.resources.memory_bytes
        self.gpus_used.update(container.place.gpus)

    def release(self, container: Container) -> None:
        """Give back the resources that a container had."""
        self.cpu_used -= container.spec.resources.cpu
        self.memory_used -= container.spec.resources.memory_bytes
        self.gpus_used.difference_update(container.place.gpus)
