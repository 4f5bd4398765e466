"""Which machine an agent gets that takes all that is free there.

Ray chooses the machine of a slice with a size. For all that is free somewhere, somebody has to look first. This module
must not know Ray, or how an agent is started.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from swell.backends.ray.messages import RayNode
from swell.slices import Slice

__all__ = ["all_free_on", "freest", "with_room"]


def freest(nodes: Sequence[RayNode], taken: Collection[str], avoid: Collection[str] = ()) -> RayNode | None:
    """Return the machine with the most free cores, of those that have one, stay, and are not taken; None if none is.

    Those to avoid come after all others.
    """
    fitting = [each for each in nodes if each.cpu_free >= 1 and each.draining_until is None and each.node not in taken]
    return max(fitting, key=lambda each: (each.node not in avoid, *_free_on(each)), default=None)


def with_room(nodes: Sequence[RayNode], wanted: Slice, avoid: Collection[str]) -> str:
    """Return the freest machine that stays, has room for a slice and is none to avoid; "" if there is none."""
    staying = [each for each in nodes if each.draining_until is None and each.node not in avoid]
    found = max((each for each in staying if _is_free(each, wanted)), key=_free_on, default=None)
    return "" if found is None else found.node


def all_free_on(node: RayNode) -> Slice:
    """Return all that is free on a machine: whole cores, and whole GPUs."""
    return Slice(float(int(node.cpu_free)), node.memory_free_bytes, int(node.gpus_free))


def _free_on(node: RayNode) -> tuple[float, int]:
    return node.cpu_free, node.memory_free_bytes


def _is_free(node: RayNode, wanted: Slice) -> bool:
    return (
        wanted.cpu <= node.cpu_free and wanted.memory_bytes <= node.memory_free_bytes and wanted.gpus <= node.gpus_free
    )
