"""Which machine an agent gets that takes all that is free there.

Ray chooses the machine of a slice with a size. For all that is free somewhere, somebody has to look first. This module
must not know Ray, or how an agent is started.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from swell.backends.ray.messages import RayNode
from swell.slices import Slice

__all__ = ["all_free_on", "freest"]


def freest(nodes: Sequence[RayNode], taken: Collection[str]) -> RayNode | None:
    """Return the machine with the most free cores, of those that have one, stay, and are not taken; None if none is."""
    fitting = [each for each in nodes if each.cpu_free >= 1 and each.draining_until is None and each.node not in taken]
    return max(fitting, key=lambda each: (each.cpu_free, each.memory_free_bytes), default=None)


def all_free_on(node: RayNode) -> Slice:
    """Return all that is free on a machine: whole cores, and whole GPUs."""
    return Slice(float(int(node.cpu_free)), node.memory_free_bytes, int(node.gpus_free))
