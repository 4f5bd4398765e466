"""How many offered inputs a pool admits, and which limit refuses the rest.

Counts in, a decision out. This module must not know calls or clients.
"""

from __future__ import annotations

from msgspec import Struct

from swell.config import Settings

__all__ = ["Admitted", "admit"]


class Admitted(Struct, frozen=True):
    """The first `count` offered inputs are admitted; `limit`, of that value, refused the rest, if any."""

    count: int
    limit: str = ""
    value: int = 0


def admit(settings: Settings, *, is_async: bool, offered: int, pending: int, running: int) -> Admitted:
    """Decide on `offered` inputs for a pool in which `pending` and `running` inputs of the same kind are already."""
    if is_async:
        bounds = [("pending_async_max", settings.pending_async_max, settings.pending_async_max - pending)]
    else:
        bounds = [
            ("pending_sync_max", settings.pending_sync_max, settings.pending_sync_max - pending),
            ("total_sync_max", settings.total_sync_max, settings.total_sync_max - pending - running),
        ]
    name, value, room = min(bounds, key=lambda bound: bound[2])
    if offered <= room:
        return Admitted(offered)
    return Admitted(max(0, room), name, value)
