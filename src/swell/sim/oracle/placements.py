"""Where containers are: on nodes that are in service when they are started, each within what its node has.

This module must not know what containers run.
"""

from __future__ import annotations

from swell.config import Settings
from swell.engine.events import NodesObserved, StartContainer
from swell.model import Node
from swell.sim.oracle.accounts import EPSILON
from swell.wire.queries import DrainNode, ResumeNode

__all__ = ["Placements"]


class Placements:
    """The nodes as the engine was told of them, and the containers on each that are not gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._nodes: dict[str, Node] = {}
        self._draining: set[str] = set()
        self._placed: dict[str, dict[str, StartContainer]] = {}  # by node, by container
        self._node_of: dict[str, str] = {}

    def observed(self, event: NodesObserved) -> None:
        """The engine is told which nodes there are."""
        self._nodes = {view.node.name: view.node for view in event.nodes}
        self._draining &= self._nodes.keys()

    def asked(self, message: DrainNode | ResumeNode) -> None:
        """A node is taken out of service, or into it again."""
        if isinstance(message, ResumeNode):
            self._draining.discard(message.node)
        elif message.node in self._nodes:
            self._draining.add(message.node)

    def starts(self, effect: StartContainer) -> None:
        """A container is asked for: its node has to be there, in service, and have room for it."""
        container_id, node = effect.container_id, self._nodes.get(effect.node)
        assert node is not None, f"{container_id} is started on {effect.node}, which is not there"
        assert effect.node not in self._draining, f"{container_id} is started on {effect.node}, which drains"
        placed = self._placed.setdefault(effect.node, {})
        placed[container_id] = effect
        self._node_of[container_id] = effect.node
        taken = [uuid for other in placed.values() for uuid in other.gpus]
        assert len(taken) == len(set(taken)), f"{container_id}: a GPU of {effect.node} has two containers: {taken}"
        assert set(effect.gpus) <= {gpu.uuid for gpu in node.gpus}, f"{container_id}: {effect.node} has other GPUs"
        cpu = sum(other.spec.resources.cpu for other in placed.values())
        memory = sum(other.spec.resources.memory_bytes for other in placed.values())
        assert cpu <= node.cpu * self._settings.cpu_overcommit + EPSILON * len(placed), (
            f"{container_id}: containers of {effect.node} want {cpu} cores"
        )
        assert memory <= node.memory_bytes * self._settings.memory_overcommit, (
            f"{container_id}: containers of {effect.node} want {memory} bytes"
        )

    def exited(self, container_id: str) -> None:
        """A container is gone."""
        node = self._node_of.pop(container_id, None)
        if node is not None:
            del self._placed[node][container_id]
            if not self._placed[node]:
                del self._placed[node]

    def forget(self) -> None:
        """The server is killed: the next one has nodes of its own."""
        self._nodes.clear()
        self._draining.clear()
        self._placed.clear()
        self._node_of.clear()
