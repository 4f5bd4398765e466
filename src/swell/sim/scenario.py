"""What a simulation has: settings, nodes, plans of clients, and how much goes wrong.

Values only. This module must not know how they are chosen, or the world that carries a plan out.
"""

from __future__ import annotations

from msgspec import Struct

from swell.config import Settings
from swell.model import Node, Source
from swell.sim.client import AppPlan
from swell.sim.deployer import LastingPlan

__all__ = ["SOURCE", "Faults", "NodeFaults", "Scenario"]

SOURCE = Source("app", "f", "app.py")


class Faults(Struct, frozen=True):
    """How often the surroundings misbehave, until `until`."""

    until: float = 0.0
    lost_per_s: float = 0.0  #: containers that die for no reason, each second
    start_refused: float = 0.0  #: probability that the backend cannot make the process
    start_fails: float = 0.0  #: probability that an import or enter hook raises
    start_hangs: float = 0.0
    start_slow_s: float = 0.0  #: added to a start, at most
    exit_hangs: float = 0.0
    leaves: float = 0.0  #: probability that a container leaves by itself
    resizes: float = 0.0  #: probability that a container sets its own number of slots
    repeated: float = 0.0  #: probability that a message of a container arrives a second time, later
    nodes_per_s: float = 0.0  #: nodes that vanish, each second; they come back


class NodeFaults(Struct, frozen=True):
    """What becomes of nodes, until `until`. Each that comes has another name."""

    until: float
    late: float = 0.0  #: probability that a node only comes some time after the beginning
    vanish_per_s: float = 0.0  #: agents that are killed, each second, with all their containers
    freeze_per_s: float = 0.0  #: agents or machines that are stopped, each second, for a short time or a long one
    drain_per_s: float = 0.0  #: nodes that are taken out of service, each second, with and without a deadline


class Scenario(Struct, frozen=True):
    """Everything the world needs to run."""

    settings: Settings
    nodes: tuple[Node, ...]
    apps: tuple[AppPlan, ...]
    faults: Faults = Faults()
    node_faults: NodeFaults | None = None
    latency_s: float = 0.0001
    tick_late_s: float = 0.0  #: how late the shell may call `tick`, at most
    start_s: float = 0.002
    items_ahead_max: int = 1_024
    commit_s: float = 0.0005  #: how long the store takes to make something durable
    lasting: tuple[LastingPlan, ...] = ()  #: clients of durable apps
    is_large: bool = False  #: meets what bounds one event by itself: the bounds need not be lower for it
    crash_points: tuple[int, ...] = ()  #: moments between two effects, counted, at which the server is killed
