"""Why an agent is not let in: it does not speak as this server does, or describes a node that cannot be.

This module must not know tokens or links.
"""

from __future__ import annotations

from importlib.metadata import version
from platform import python_version
from typing import Final

from swell.bounds import INTEGER_MAX
from swell.link.words import LINK_PROTOCOL, Greeting
from swell.model import Node

__all__ = ["misfit"]

CORES_MAX: Final = 1_000_000.0
GPUS_MAX: Final = 1_024
NAME_MAX: Final = 200  #: characters of what names a GPU or its kind


def misfit(greeting: Greeting, protocol: int) -> str:
    """Return why an agent cannot work for this server; "" if it can.

    Args:
        greeting: what it has said of itself.
        protocol: what containers have to speak.
    """
    python = python_version().rpartition(".")[0]
    ours, theirs = (LINK_PROTOCOL, protocol), (greeting.link_protocol, greeting.protocol)
    if theirs != ours:
        return (
            f"it has swell {greeting.version}, the server {version('swell')}, of which the protocols differ ({theirs} "
            f"and {ours}); install the same version on both"
        )
    if greeting.python != python:
        return f"it has Python {greeting.python}, the server {python}; install Python {python} there"
    if greeting.version != version("swell"):
        return f"it has swell {greeting.version}, the server {version('swell')}; install the same version on both"
    return _impossible(greeting.node)


def _impossible(node: Node) -> str:
    """Return what of a node cannot be: placement would compute with it."""
    if not 0 < node.cpu <= CORES_MAX:  # NaN is neither
        return f"its agent says that it has {node.cpu} cores; more than 0 and at most {CORES_MAX:,.0f} can be"
    if not 0 <= node.memory_bytes <= INTEGER_MAX:
        return f"its agent says that it has {node.memory_bytes} bytes of memory; 0 to {INTEGER_MAX} can be"
    if len(node.gpus) > GPUS_MAX:
        return f"its agent names {len(node.gpus):,} GPUs; at most {GPUS_MAX:,} can be"
    names = {gpu.uuid for gpu in node.gpus}
    if len(names) < len(node.gpus):
        return "its agent names one of its GPUs twice"
    for gpu in node.gpus:
        if not 0 < len(gpu.uuid) <= NAME_MAX or len(gpu.kind) > NAME_MAX or not 0 <= gpu.memory_bytes <= INTEGER_MAX:
            return f"its agent names a GPU {gpu.uuid!r:.200} of kind {gpu.kind!r:.200}, which cannot be"
    return ""
