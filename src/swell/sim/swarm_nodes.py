"""What a seed chooses of nodes that come, freeze, are drained, vanish, and return under other names.

A third of all seeds has several such nodes; the others are as they were. This module must not know the engine or the
world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import structs

from swell.config import Settings
from swell.model import Node
from swell.sim.scenario import NodeFaults, Scenario

__all__ = ["with_node_faults"]


def with_node_faults(seed: int, scenario: Scenario) -> Scenario:
    """Return the scenario of a seed, perhaps with nodes that do not stay."""
    random = Random(f"node faults {seed}")
    if random.random() > 1 / 3:
        return scenario
    nodes, faults, settings = (
        _several(random, scenario.nodes),
        _node_faults(random),
        _settings(random, scenario.settings),
    )
    return structs.replace(
        scenario,
        nodes=nodes[-1:] if settings.backend == "ray" else nodes,  # the others have to be asked for
        faults=structs.replace(scenario.faults, nodes_per_s=0.0),
        node_faults=faults,
        settings=settings,
    )


def _settings(random: Random, settings: Settings) -> Settings:
    """Return settings for such nodes; some are of a cluster that gives nodes and takes them back."""
    settings = structs.replace(settings, node_timeout_s=random.choice((0.5, 1.0, 5.0)))
    given = Random(random.random())  # what is drawn after this is as it was
    if given.random() < 0.5:
        return settings
    return structs.replace(
        settings,
        backend="ray",
        ray_agents_min=given.choice((1, 1, 3)),
        ray_agents_max=given.choice((4, 20)),
        ray_agent_idle_s=given.choice((0.2, 5.0, 60.0)),
    )


def _node_faults(random: Random) -> NodeFaults:
    return NodeFaults(
        until=random.choice((2.0, 20.0, 60.0)),
        late=random.choice((0.0, 0.0, 0.5, 1.0)),
        vanish_per_s=random.choice((0.0, 0.05, 0.5)),
        freeze_per_s=random.choice((0.0, 0.05, 0.5)),
        drain_per_s=random.choice((0.0, 0.05, 0.5)),
    )


def _several(random: Random, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return nodes that have what these have, more of them if they are few."""
    few = [nodes[i % len(nodes)] for i in range(max(len(nodes), random.randint(2, 5)))]
    return tuple(
        structs.replace(
            node,
            name=f"node-{number}",
            gpus=tuple(structs.replace(gpu, uuid=f"gpu-{number}-{i}") for i, gpu in enumerate(node.gpus)),
        )
        for number, node in enumerate(few)
    )
