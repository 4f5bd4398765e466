"""The connections of a server: how many there may be, and what is logged of their errors.

Each takes a descriptor, of which a process has a bounded number, and containers need theirs. So clients may take half
of them. Connections that have not sent a Hello may be few, and the one that has waited longest is closed for the next:
a client sends its Hello at once. This module must not know messages, or what clients ask for.
"""

from __future__ import annotations

import logging
import resource
from typing import Final, Protocol

from swell.logs import PeerLog

__all__ = ["ConnectionLimits"]

PENDING_MAX: Final = 512  #: connections that have not sent a Hello
CLIENTS_SHARE: Final = 2  #: one in so many descriptors may be a client's


class PendingConnection(Protocol):
    """A connection that has not sent a Hello."""

    number: int

    def reject(self, why: str) -> None:
        """Close it."""
        ...


class ConnectionLimits:
    """Counts connections, and closes those beyond the bound.

    Args:
        descriptors_max: how many descriptors this process may have open; None: the system's hard limit.
        pending_max: how many connections may be there that have not sent a Hello.

    Attributes:
        clients_max: Clients that may be connected at once.
        log: Where errors of peers are logged.
    """

    def __init__(self, descriptors_max: int | None = None, *, pending_max: int = PENDING_MAX) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if descriptors_max is None else descriptors_max
        self.clients_max = max(1, hard // CLIENTS_SHARE)
        self.log = PeerLog(logging.getLogger("swell.server"))
        self._pending_max = max(1, min(pending_max, self.clients_max // 2))
        self._pending: dict[int, PendingConnection] = {}  # the oldest first

    def opened(self, pending: PendingConnection) -> None:
        """Count a new connection; the oldest one without a Hello is closed if there are too many."""
        if len(self._pending) >= self._pending_max:
            self._pending.pop(next(iter(self._pending))).reject(
                f"it did not say who it is while {self._pending_max} others came that did not, either"
            )
        self._pending[pending.number] = pending

    def identified(self, pending: PendingConnection) -> None:
        """Note that a connection has sent its Hello, or is gone."""
        self._pending.pop(pending.number, None)
