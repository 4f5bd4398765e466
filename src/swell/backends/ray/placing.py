"""Which machine an agent gets that takes all that is free there, and what Ray says of a slice that it has no room for.

Ray chooses the machine of a slice with a size. For all that is free somewhere, somebody has to look first. This module
must not know Ray, or how an agent is started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from swell.backends.ray.messages import RayNode
from swell.slices import Slice, slice_text

__all__ = ["all_free_on", "freest", "waiting_text", "why_no_room"]


def freest(nodes: Sequence[RayNode], taken: Collection[str]) -> RayNode | None:
    """Return the machine with the most free cores, of those that have one, stay, and are not taken; None if none is."""
    fitting = [each for each in nodes if each.cpu_free >= 1 and each.draining_until is None and each.node not in taken]
    return max(fitting, key=lambda each: (each.cpu_free, each.memory_free_bytes), default=None)


def all_free_on(node: RayNode) -> Slice:
    """Return all that is free on a machine: whole cores, and whole GPUs."""
    return Slice(float(int(node.cpu_free)), node.memory_free_bytes, int(node.gpus_free))


def why_no_room(wanted: Slice | None, nodes: Sequence[RayNode]) -> str:
    """Return why no machine has room for a slice; "" if one has."""
    if not nodes:
        return "there is no machine"
    if wanted is None:
        return "" if freest(nodes, ()) else f"none of {len(nodes)} machines has a free core"
    staying = [each for each in nodes if each.draining_until is None]
    if any(_holds(wanted, each.cpu_free, each.memory_free_bytes, each.gpus_free) for each in staying):
        return ""
    if any(_holds(wanted, each.cpu, each.memory_bytes, each.gpus) for each in staying):
        return f"none of {len(nodes)} machines has that free now"
    most = max(nodes, key=lambda each: (min(each.gpus, wanted.gpus), each.cpu, each.memory_bytes))
    offer = Slice(most.cpu, most.memory_bytes, int(most.gpus))
    return f"none of {len(nodes)} machines is as large; the largest has {slice_text(offer)}"


def waiting_text(wanted: Iterable[Slice | None], nodes: Sequence[RayNode]) -> str:
    """Return what is told of slices for which agents were asked some time ago."""
    counts = Counter(wanted)
    texts = [f"{count} of {slice_text(each)}" for each, count in counts.items()]
    reasons = sorted({why for each in counts if (why := why_no_room(each, nodes))})
    says = f"; {', '.join(reasons)}" if reasons else ""
    return f"waiting for nodes: {', '.join(texts)} (Ray has not started them{says})"


def _holds(wanted: Slice, cpu: float, memory_bytes: int, gpus: float) -> bool:
    return wanted.cpu <= cpu and wanted.memory_bytes <= memory_bytes and wanted.gpus <= gpus
